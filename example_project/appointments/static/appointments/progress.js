// Keeps the status of an appointment's emails up to date. Without this script there is a "Check again" link.
"use strict";

const EVERY = 1000; // milliseconds, while something may happen
const RARELY = 10000; // after the first minute, and after an error
const SOON = 60000;

const box = document.querySelector("[data-progress]");
const announcement = box.querySelector("[data-announcement]");
const started = Date.now();

const shown = {};

function put(part, html) {
  if (shown[part] !== html) box.querySelector(`[data-part="${part}"]`).innerHTML = shown[part] = html;
}

async function refresh() {
  let wait = Date.now() - started < SOON ? EVERY : RARELY;
  if (!document.hidden) {
    try {
      const answer = await fetch(box.dataset.progress, { cache: "no-store" });
      if (!answer.ok) throw new Error(answer.statusText);
      const progress = await answer.json();
      put("emails", progress.emails);
      put("history", progress.history);
      // A screen reader reads this out when it changes, and at no other time
      if (announcement.textContent !== progress.announcement) announcement.textContent = progress.announcement;
      if (progress.final) return;
    } catch {
      wait = RARELY;
    }
  }
  setTimeout(refresh, wait);
}

box.querySelector("[data-no-script]").hidden = true;
refresh();
