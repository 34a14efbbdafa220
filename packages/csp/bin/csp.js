#!/usr/bin/env node
// There before anything is built, so that installing finds it.
import "../dist/cli/main.js";
