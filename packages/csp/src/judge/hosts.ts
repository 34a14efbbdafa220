/**
 * Hosts with known bypasses: facts from published lists, research and vendors' documentation, each with the date of
 * its evidence. An endpoint may be gone since; a host that is not here may have one.
 * @module
 */

/**
 * What there is on a host.
 *
 * - `jsonp`: an endpoint that starts its answer with any text of the request.
 * - `jsonp-method`: one that takes the name of a function only, dots included; WordPress' `_jsonp` is one.
 * - `gadget`: AngularJS, or a file that holds it.
 * - `eval`: a container that anybody can fill, which needs `'unsafe-eval'`.
 * - `uploads`: packages and files that anybody publishes, served as script.
 * - `names`: anybody gets a name below it.
 * - `folders`: anybody gets a folder on it.
 * - `redirect`: an address that redirects anywhere.
 */
export type BypassClass =
  | "jsonp"
  | "jsonp-method"
  | "gadget"
  | "eval"
  | "uploads"
  | "names"
  | "folders"
  | "redirect";

export interface BypassHost {
  /** Lower case. */
  readonly host: string;
  readonly class: BypassClass;
  /** Where on the host, as paths that begin with a slash; at least one. */
  readonly paths: readonly string[];
  /** The year of the evidence. */
  readonly seen: number;
  readonly source: string;
}

interface Evidence {
  readonly class: BypassClass;
  readonly seen: number;
  readonly source: string;
  /** A host a line, and after it the paths. */
  readonly hosts: string;
}

const evidence: readonly Evidence[] = [
  {
    class: "jsonp",
    seen: 2016,
    source: "csp_evaluator 1.1.8",
    hosts: `
      count.tbcdn.cn //counter3
      bebezoo.1688.com /fragment/index.htm
      m.addthis.com /live/red_lojson/100eng.json
      widget.admitad.com /widget/init
      ib.adnxs.com /jpt
      community.adobe.com /CommunityPod/getJSON
      offer.alibaba.com /market/CID100002954/5/fetchKeyword.do
      detector.alicdn.com /2.7.3/index.php
      group.aliexpress.com /ajaxAcquireGroupbuyProduct.do
      afpeng.alimama.com /ex
      ccrprod.alipay.com /ccr/arriveTime.json
      ynuf.alipay.com /service/um.json
      pin.aliyun.com /check_audio
      wb.amap.com /channel.php
      gupiao.baidu.com /stocks/stockbets
      api.map.baidu.com
      fellowes.ugc.bazaarvoice.com /data/reviews.json
      www.blogger.com /feeds/5578653387562324002/posts/summary/4427562025302749269
      kecngantang.blogspot.com /feeds/posts/default/-/Komik
      gum.criteo.com /sync
      links.services.disqus.com /api/ping
      api.facebook.com /restserver.php
      graph.facebook.com /1/
      www.facebook.com /restserver.php
      api.flickr.com /services/feeds/photos_friends.gne
      data.gongchang.com /livegrail/
      tj.gongchang.com /api/keywordrecomm/
      accounts.google.com /o/oauth2/revoke
      9.chart.apis.google.com /chart
      books.google.com /books
      clients1.google.com /complete/search
      cse.google.com /api/007627024705277327428/cse/r3vs7b0fcli/queries/js
      maps.google.com /maps/vt
      translate.google.com /translate_a/l
      www.google.com /tools/feedback/escalation-options
      partner.googleadservices.com /gampad/ads
      ajax.googleapis.com /ajax/services/search/news
      cbks0.googleapis.com /cbk
      maps.googleapis.com /maps/api/js/GeoPhotoService.GetMetadata
      mt1.googleapis.com /mapslt/ft
      mts0.googleapis.com /maps/vt
      mts1.googleapis.com /mapslt/ft
      translate.googleapis.com /translate_a/l
      www.googleapis.com /freebase/v1/topic/m/0344_
      pagead2.googlesyndication.com /relatedsearch
      www-onepick-opensocial.googleusercontent.com /gadgets/proxy
      c1n2.hypercomments.com /stream/subscribe
      c1n3.hypercomments.com /stream/subscribe
      tr.indeed.com /m/newjobs
      api.instagram.com /v1/tags/partykungen23328/media/recent
      a.tiles.mapbox.com /v3/zentralmedia.map-n2raeauc.jsonp
      c.tiles.mapbox.com /v3/texastribune.tx-congress-cvap/6/15/26.grid.json
      api.mixpanel.com /track/
      de.blog.newrelic.com /wp-admin/admin-ajax.php
      www.panoramio.com /map/get_panoramas.php
      widgets.pinterest.com /v3/pidgets/boards/ciciwin/hedgehog-squirrel-crafts/pins/
      pubsub.pubnub.com /subscribe/demo/hello_world/
      wpd.b.qq.com /cgi/get_sign.php
      www.sharethis.com /get-publisher-info.php
      client.siteheart.com /streamcli/client
      a.config.skype.com /config/v1/Skype/908_1.33.0.111/SkypePersonalization
      suggest.taobao.com /sug
      autocomplete.travelpayouts.com /avia
      www.travelpayouts.com /widgets/50f53ce9ada1b54bcc000031.json
      cdn.syndication.twimg.com /widgets/timelines/599200054310604802
      publish.twitter.com /oembed
      syndication.twitter.com /widgets/timelines/765840589183213568
      cdn.syndication.twitter.com /moments/709229296800440320
      api.userlike.com /api/chat/slot/proactive/
      vimeo.com /api/oembed.json/
      api.vk.com /method/wall.get
      fast.wistia.com /embed/medias/o75jtw7654.json
      video.media.yql.yahoo.com /v1/video/sapi/streams/063fb76c-6c70-38c5-9bbc-04b7c384de2b
      pipes.yahooapis.com /pipes/pipe.run
      query.yahooapis.com /v1/public/yql
      pass.yandex.com /services
      www.youku.com /index_cookielist/s/jsonp
      gdata.youtube.com /feeds/api/videos/WsJIHN1kNWc
      www.youtube.com /profile_style
      maps.google.de /maps/vt
      www.google.de /maps/vt
      relap.io /api/v2/similar_pages_jsonp.js
      maps.google.lv /maps/vt
      h.cackle.me /widget/32153/bootstrap
      i.cackle.me /widget/32586/bootstrap
      a248.e.akamai.net /h5.hulu.com/h5.mp4
      d1f69o4buvlrj5.cloudfront.net /__efa_15_1_ornpba.xekq.arg/optout_check
      googleads.g.doubleclick.net /pagead/conversion/1036918760/wcm
      securepubads.g.doubleclick.net /gampad/ads
      target.ukr.net
      dev.virtualearth.net /REST/V1/Imagery/Metadata/AerialWithLabels/26.318581
      share.yandex.net /counter/gpp/
      translate.yandex.net /api/v1.5/tr.json/detect
      plugins.mozilla.org /en-us/plugins_list.json
      nominatim.openstreetmap.org
      se.wikipedia.org /w/api.php
      catalog.api.2gis.ru /ads/search
      maps.beeline.ru /w
      rexchange.begun.ru /banners
      beta.gismeteo.ru /api/informer/layout.js/120x240-3/ru/
      google.ru /maps/vt
      maps.google.ru /maps/vt
      connect.mail.ru /share_count
      ok.go.mail.ru /lady_on_lady_recipes_r.json
      passport.ngs.ru /ajax/check
      id.rambler.ru /script/topline_info.js
      ulogin.ru /token.php
      wslocker.ru /client/user.chk.php
      yandex.ru /soft/browsers/check
      an.yandex.ru /page/147484
      awaps.yandex.ru /10/8938/02400400.
      mc.yandex.ru /watch/24306916/1
      pass.yandex.ru /services
      rec.ydf.yandex.ru /cookie
      pro.netrox.sc /oapi/h_checksite.ashx
      www.meteoprog.ua /data/weather/informer/Poltava.js
      pass.yandex.ua /services`,
  },
  {
    class: "eval",
    seen: 2016,
    source: "csp_evaluator 1.1.8",
    hosts: `
      ssl.google-analytics.com /gtm/js
      www.google-analytics.com /gtm/js
      www.googleadservices.com /pagead/conversion/1070110417/wcm
      googletagmanager.com /gtm/js
      www.googletagmanager.com /gtm/js`,
  },
  {
    class: "gadget",
    seen: 2016,
    source: "csp_evaluator 1.1.8",
    hosts: `
      www.adobe.com /devnet-apps/flashshowcase/lib/angular/angular.1.1.5.min.js
      services.amazon.com /solution-providers/assets/vendor/angular-cookies.min.js
      s3-eu-west-1.amazonaws.com /staticancpa/js/angular-cookies.min.js
      parademanagement.com.s3-website-ap-southeast-1.amazonaws.com /js/angular.min.js
      elysiumwebsite.s3.amazonaws.com /uploads/blog-media/rockstar/angular.min.js
      prb-resume.appspot.com /bower_components/angular-animate/angular-animate.js
      askgithub.com /static/js/angular.min.js
      cdn.bootcss.com /angular.js/1.2.0/angular.min.js
      cdnjs.cloudflare.com /ajax/libs/angular.js/1.2.16/angular.min.js
      dl.dropboxusercontent.com /u/30877786/angular.min.js
      raw.githubusercontent.com /angular/code.angularjs.org/master/1.0.7/angular-resource.js
      www.googleadservices.com /pageadimg/imgad
      ajax.googleapis.com /ajax/libs/angularjs/1.2.0rc1/angular-route.min.js
      storage.googleapis.com /assets-prod.urbansitter.net/us-sym/assets/vendor/angular-sanitize/angular-sanitize.min.js
      andors-trail.googlecode.com /git/AndorsTrailEdit/lib/angular.min.js
      gstatic.com /fsn/angular_js-bundle1.js
      www.gstatic.com /fsn/angular_js-bundle1.js
      eternal-sunset.herokuapp.com /bower_components/angular/angular.js
      gift-talk.kakao.com /public/javascripts/angular.min.js
      csu-c45.kxcdn.com /angular/angular.js
      laundrymail.com /angular/angular.js
      oss.maxcdn.com /angularjs/1.2.20/angular.min.js
      art.jobs.netease.com /script/angular.js
      pangxiehaitao.com /framework/angular-1.3.9/angular-animate.min.js
      96fe3ee995e96e922b6b-d10c35bd0a0de2c718b252bc575fdb73.ssl.cf1.rackcdn.com /angular.js
      eb2883ede55c53e09fd5-9c145fb03d93709ea57875d307e2d82e.ssl.cf3.rackcdn.com /components/angular-resource.min.js
      cdn.shopify.com /s/files/1/0225/6463/t/1/assets/angular-animate.min.js
      collade.demo.stswp.com /js/vendor/angular.min.js
      static.tumblr.com /x5qdx0r/nPOnngtff/angular-resource.min_1_.js
      cdn.walkme.com /General/EnvironmentTests/angular/angular.min.js
      reports.zemanta.com /smedia/common/angularjs/1.2.11/angular.js
      mrfishie.github.io /sailor/bower_components/angular/angular.min.js
      twitter.github.io /labella.js/bower_components/angular/angular.min.js
      yuedust.yuedu.126.net /js/components/angular/angular.js
      ayicommon-a.akamaihd.net /static/vendor/angular-1.4.2.min.js
      cdn2-casinoroom.global.ssl.fastly.net /js/lib/angular-animate.min.js
      cdn.jsdelivr.net /angularjs/1.1.2/angular.min.js
      inno.blob.core.windows.net /new/libs/AngularJS/1.2.1/angular.min.js
      yastatic.net /angularjs/1.2.23/angular.min.js
      master-sumok.ru /vendors/angular/angular-cookies.js
      yandex.st /angularjs/1.2.16/angular-cookies.min.js`,
  },
  {
    class: "gadget",
    seen: 2025,
    source: "vendor's documentation",
    hosts: `
      ajax.googleapis.com /ajax/libs/angularjs/
      ajax.loli.net /ajax/libs/angularjs/
      apps.bdimg.com /libs/angular.js/
      cdn.bootcdn.net /ajax/libs/angular.js/
      cdn.bootcss.com /angular.js/
      cdn.staticfile.net /angular.js/
      cdn.staticfile.org /angular.js/
      cdnjs.cloudflare.com /ajax/libs/angular.js/
      cdnjs.loli.net /ajax/libs/angular.js/
      code.angularjs.org /
      lib.baomitu.com /angular.js/
      oss.maxcdn.com /angularjs/
      yastatic.net /angularjs/`,
  },
  {
    class: "gadget",
    seen: 2022,
    source: "published research",
    hosts: `
      www.google.com /recaptcha/about/js/main.min.js
      www.recaptcha.net /recaptcha/about/js/main.min.js`,
  },
  {
    class: "uploads",
    seen: 2025,
    source: "vendor's documentation",
    hosts: `
      bb.githack.com /
      bbcdn.githack.com /
      bundle.run /
      cdn.esm.sh /
      cdn.glitch.com /
      cdn.glitch.global /
      cdn.glitch.me /
      cdn.jsdelivr.net /npm/ /gh/ /combine/ /wp/
      cdn.npmmirror.com /packages/
      cdn.pika.dev /
      cdn.rawgit.com /
      cdn.sanity.io /files/
      cdn.shopify.com /s/files/
      cdn.skypack.dev /
      cdn.statically.io /
      cdn.staticaly.com /
      cdpn.io /
      codepen.io /
      combinatronics.com /
      deno.land /x/
      dev.jspm.io /
      esm.run /
      esm.sh /
      esm.town /v/
      fastly.jsdelivr.net /npm/ /gh/
      ga.jspm.io /
      ga.system.jspm.io /
      gcore.jsdelivr.net /npm/ /gh/
      gist.githack.com /
      gistcdn.githack.com /
      gitcdn.link /
      gitcdn.xyz /
      gl.githack.com /
      glcdn.githack.com /
      ipfs.io /ipfs/
      jsbin.com /
      jspm.dev /
      npm.elemecdn.com /
      npmcdn.com /
      originfastly.jsdelivr.net /npm/ /gh/
      output.jsbin.com /
      quantil.jsdelivr.net /npm/ /gh/
      raw.esm.sh /
      raw.githack.com /
      rawcdn.githack.com /
      rawgit.com /
      registry.npmmirror.com /
      res.cloudinary.com /
      testingcf.jsdelivr.net /npm/ /gh/
      ucarecdn.com /
      unpkg.com /
      web.archive.org /web/
      wzrd.in /`,
  },
  {
    class: "names",
    seen: 2025,
    source: "vendor's documentation",
    hosts: `
      000webhostapp.com
      acquia-sites.com
      aliyuncs.com
      altervista.org
      amazonaws.com
      amplifyapp.com
      app.github.dev
      appspot.com
      arweave.net
      awsapprunner.com
      azureedge.net
      azurefd.net
      azurestaticapps.net
      azurewebsites.net
      b-cdn.net
      backblazeb2.com
      bcebos.com
      blob.core.windows.net
      blogspot.com
      bubbleapps.io
      carrd.co
      cdn77.org
      clever-cloud.com
      cleverapps.io
      cloudapp.azure.com
      cloudapp.net
      cloudfront.net
      cloudfunctions.net
      codesandbox.io
      compute.amazonaws.com
      core.windows.net
      csb.app
      cyclic.app
      ddns.net
      deno.dev
      digitaloceanspaces.com
      duckdns.org
      dyndns.org
      edgecastcdn.net
      elasticbeanstalk.com
      elb.amazonaws.com
      eu.org
      fastly.net
      firebaseapp.com
      firebaseio.com
      fly.dev
      force.com
      framer.app
      framer.website
      gcdn.co
      gitbook.io
      github.dev
      github.io
      gitlab.io
      gitpod.io
      glitch.me
      googleusercontent.com
      gradio.live
      hasura.app
      herokuapp.com
      hf.space
      hs-sites.com
      hwcdn.net
      infinityfreeapp.com
      ipfs.dweb.link
      kinsta.app
      koyeb.app
      kxcdn.com
      linodeobjects.com
      llnwd.net
      loca.lt
      lovable.app
      my.salesforce.com
      my.site.com
      myfritz.net
      myqcloud.com
      myshopify.com
      neocities.org
      netlify.app
      netlify.com
      ngrok-free.app
      ngrok.app
      ngrok.io
      nip.io
      no-ip.org
      northflank.app
      notion.site
      now.sh
      on.aws
      ondigitalocean.app
      onrender.com
      oraclecloud.com
      pages.dev
      pantheonsite.io
      platformsh.site
      pythonanywhere.com
      r2.dev
      rackcdn.com
      railway.app
      readthedocs.io
      repl.co
      replit.app
      replit.dev
      run.app
      s3-website-eu-west-1.amazonaws.com
      s3-website-us-east-1.amazonaws.com
      s3.amazonaws.com
      s3.ap-northeast-1.amazonaws.com
      s3.ap-southeast-1.amazonaws.com
      s3.ap-southeast-2.amazonaws.com
      s3.eu-central-1.amazonaws.com
      s3.eu-west-1.amazonaws.com
      s3.eu-west-2.amazonaws.com
      s3.sa-east-1.amazonaws.com
      s3.us-east-1.amazonaws.com
      s3.us-east-2.amazonaws.com
      s3.us-west-1.amazonaws.com
      s3.us-west-2.amazonaws.com
      scw.cloud
      sharepoint.com
      squarespace.com
      sslip.io
      stackblitz.io
      storage.googleapis.com
      streamlit.app
      supabase.co
      surge.sh
      trafficmanager.net
      translate.goog
      trycloudflare.com
      tumblr.com
      up.railway.app
      vercel.app
      vultrobjects.com
      wasabisys.com
      web.app
      web.core.windows.net
      webcontainer.io
      webflow.io
      weebly.com
      windows.net
      wixsite.com
      wordpress.com
      workers.dev
      wpengine.com
      xip.io
      zeabur.app`,
  },
  {
    class: "folders",
    seen: 2025,
    source: "vendor's documentation",
    hosts: `
      a.storyblok.com /f/
      assets.ctfassets.net
      assets.website-files.com
      cdn.prod.website-files.com
      commondatastorage.googleapis.com
      dl.dropboxusercontent.com
      dweb.link /ipfs/
      firebasestorage.googleapis.com /v0/b/
      gateway.pinata.cloud /ipfs/
      ik.imagekit.io
      s3-ap-northeast-1.amazonaws.com
      s3-ap-southeast-1.amazonaws.com
      s3-ap-southeast-2.amazonaws.com
      s3-eu-central-1.amazonaws.com
      s3-eu-west-1.amazonaws.com
      s3-eu-west-2.amazonaws.com
      s3-sa-east-1.amazonaws.com
      s3-us-east-1.amazonaws.com
      s3-us-west-1.amazonaws.com
      s3-us-west-2.amazonaws.com
      s3.amazonaws.com
      s3.ap-northeast-1.amazonaws.com
      s3.ap-southeast-1.amazonaws.com
      s3.ap-southeast-2.amazonaws.com
      s3.eu-central-1.amazonaws.com
      s3.eu-west-1.amazonaws.com
      s3.eu-west-2.amazonaws.com
      s3.sa-east-1.amazonaws.com
      s3.us-east-1.amazonaws.com
      s3.us-east-2.amazonaws.com
      s3.us-west-1.amazonaws.com
      s3.us-west-2.amazonaws.com
      static1.squarespace.com
      storage.googleapis.com
      uploads-ssl.webflow.com`,
  },
  {
    class: "redirect",
    seen: 2025,
    source: "vendor's documentation",
    hosts: `
      bit.ly
      buff.ly
      cutt.ly
      dlvr.it
      ift.tt
      is.gd
      j.mp
      lnkd.in
      ow.ly
      qrco.de
      rb.gy
      rebrand.ly
      s.id
      short.io
      shorturl.at
      t.co
      t.ly
      t.me /iv
      tiny.cc
      tinyurl.com
      trib.al
      v.gd`,
  },
  {
    class: "redirect",
    seen: 2023,
    source: "published research",
    hosts: `
      ad.doubleclick.net /ddm/clk/ /ddm/trackclk/
      adclick.g.doubleclick.net /pcs/click
      cdn.ampproject.org /c/s/
      click.linksynergy.com /fs-bin/click /deeplink
      cm.g.doubleclick.net /pixel
      dpm.demdex.net /ibs:
      duckduckgo.com /l/
      go.redirectingat.com /
      googleads.g.doubleclick.net /pcs/click /pagead/aclk
      ib.adnxs.com /getuid
      match.adsrvr.org /track/cmf/generic
      medium.com /r/
      r.search.yahoo.com /
      secure.adnxs.com /getuid /clktrb
      slack-redir.net /link
      www.bing.com /ck/a
      www.google.com /amp/s/ /url
      www.googleadservices.com /pagead/aclk
      www.linkedin.com /redir/redirect
      x.bidswitch.net /sync`,
  },
  {
    class: "jsonp-method",
    seen: 2025,
    source: "vendor's documentation",
    hosts: `
      api-ssl.bitly.com /v3/
      api.bandsintown.com /
      api.bilibili.com /x/
      api.bitly.com /v3/
      api.chartbeat.com /live/
      api.dailymotion.com /
      api.darksky.net /forecast/
      api.deezer.com /
      api.discogs.com /
      api.douban.com /v2/
      api.duckduckgo.com /
      api.embed.ly /1/oembed
      api.forecast.io /forecast/
      api.foursquare.com /v2/
      api.geonames.org /
      api.github.com /
      api.imgur.com /3/
      api.ipify.org /
      api.ipstack.com /
      api.meetup.com /2/
      api.openweathermap.org /data/2.5/
      api.parsely.com /v2/
      api.pgxn.org /
      api.pinterest.com /v1/urls/count.json
      api.postcodes.io /postcodes/
      api.reddit.com /
      api.seatgeek.com /2/
      api.songkick.com /api/3.0/
      api.soundcloud.com /
      api.stackexchange.com /2.3/
      api.themoviedb.org /3/
      api.timezonedb.com /v2.1/
      api.tumblr.com /v2/
      api.tvmaze.com /
      api.twitch.tv /kraken/
      api.weibo.com /2/
      api.what3words.com /v3/
      api.worldweatheronline.com /premium/v1/
      api.wunderground.com /api/
      api2.branch.io /v1/
      apis.map.qq.com /ws/
      app.link /_r
      archive.org /advancedsearch.php /metadata/
      basemaps.arcgis.com /arcgis/rest/
      codepoints.net /api/v1/
      comicvine.gamespot.com /api/
      commons.wikimedia.org /w/api.php
      completion.amazon.com /search/complete
      dbpedia.org /sparql
      de.wikipedia.org /w/api.php
      docs.google.com /spreadsheets/
      duckduckgo.com /ac/
      en.gravatar.com /
      en.wikipedia.org /w/api.php
      en.wiktionary.org /w/api.php
      es.wikipedia.org /w/api.php
      extreme-ip-lookup.com /json/
      feeds.delicious.com /v2/json/
      fr.wikipedia.org /w/api.php
      geocode.arcgis.com /arcgis/rest/
      geoip-db.com /jsonp
      geolocation-db.com /jsonp
      gist.github.com /
      hacker-news.firebaseio.com /v0/
      hn.algolia.com /api/v1/
      ip-api.com /json
      ipapi.co /jsonp/
      ipinfo.io /json
      it.wikipedia.org /w/api.php
      itunes.apple.com /search /lookup
      ja.wikipedia.org /w/api.php
      json.geoiplookup.io /
      jsonip.com /
      meta.wikimedia.org /w/api.php
      nl.wikipedia.org /w/api.php
      noembed.com /embed
      openexchangerates.org /api/
      openlibrary.org /api/
      overpass-api.de /api/
      pl.wikipedia.org /w/api.php
      polldaddy.com /
      pt.wikipedia.org /w/api.php
      public-api.wordpress.com /rest/v1/
      rest.bandsintown.com /artists/
      restapi.amap.com /v3/
      ru.wikipedia.org /w/api.php
      secure.geonames.org /
      secure.gravatar.com /
      server.arcgisonline.com /arcgis/rest/
      services.arcgis.com /
      soundcloud.com /oembed
      species.wikimedia.org /w/api.php
      spreadsheets.google.com /feeds/
      ssl.geoplugin.net /json.gp
      suggestion.baidu.com /su
      suggestqueries.google.com /complete/search
      viacep.com.br /ws/
      viaf.org /viaf/AutoSuggest
      wiki.openstreetmap.org /w/api.php
      ws.audioscrobbler.com /2.0/
      www.arcgis.com /sharing/rest/
      www.dailymotion.com /services/oembed
      www.flickr.com /services/rest/
      www.geoplugin.net /json.gp
      www.giantbomb.com /api/
      www.gravatar.com /
      www.mediawiki.org /w/api.php
      www.omdbapi.com /
      www.reddit.com /
      www.slideshare.net /api/oembed/2
      www.wikidata.org /w/api.php
      zh.wikipedia.org /w/api.php`,
  },
  {
    class: "jsonp-method",
    seen: 2025,
    source: "WordPress REST API handbook",
    hosts: `
      automattic.com /wp-json/
      developer.wordpress.org /wp-json/
      elementor.com /wp-json/
      jetpack.com /wp-json/
      learn.wordpress.org /wp-json/
      make.wordpress.org /core/wp-json/
      woocommerce.com /wp-json/
      wordpress.org /news/wp-json/
      wpengine.com /wp-json/
      yoast.com /wp-json/`,
  },
];

/** Every host that is known, by class. A host may come in several classes. */
export const bypassHosts: readonly BypassHost[] = evidence.flatMap(({ hosts, ...rest }) =>
  hosts
    .trim()
    .split("\n")
    .map((line) => {
      const [host = "", ...paths] = line.trim().split(" ");
      return { host, paths: paths.length > 0 ? paths : ["/"], ...rest };
    }),
);
