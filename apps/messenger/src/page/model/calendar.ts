/**
 * Days and times in words. Names of days are English, as the page is; the clock is the person's.
 * @module
 */
const clock = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
const weekday = new Intl.DateTimeFormat("en", { weekday: "long" });
const date = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "long" });
const fullDate = new Intl.DateTimeFormat("en-GB", {
  day: "numeric",
  month: "long",
  year: "numeric",
});
const shortDate = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });

export function timeOf(at: number): string {
  return clock.format(at);
}

/** "Today", "Yesterday", "Tuesday", "3 March", "3 March 2025". */
export function dayOf(at: number, now: number): string {
  const days = daysBetween(at, now);
  if (days === 0) return "Today";
  if (days === 1) return "Yesterday";
  if (days > 1 && days < 7) return weekday.format(at);
  return new Date(at).getFullYear() === new Date(now).getFullYear()
    ? date.format(at)
    : fullDate.format(at);
}

/** As short as a list allows: the time of today, else the day. */
export function briefly(at: number, now: number): string {
  const days = daysBetween(at, now);
  if (days === 0) return timeOf(at);
  return days > 0 && days < 7 ? dayOf(at, now) : shortDate.format(at);
}

/** "today at 14:05", "3 March at 14:05": within a sentence. */
export function dayAndTimeOf(at: number, now: number): string {
  const day = dayOf(at, now);
  const said = day === "Today" || day === "Yesterday" ? day.toLowerCase() : day;
  return `${said} at ${timeOf(at)}`;
}

/** Calendar days, whatever the hour and whether the clocks changed. */
function daysBetween(at: number, now: number): number {
  const [a, b] = [new Date(at), new Date(now)].map((d) =>
    Date.UTC(d.getFullYear(), d.getMonth(), d.getDate()),
  );
  return ((b ?? 0) - (a ?? 0)) / 86_400_000;
}
