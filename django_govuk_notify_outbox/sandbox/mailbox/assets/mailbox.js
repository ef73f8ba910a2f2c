// Keeps the page up to date. Without it everything works, and the page has to be reloaded to show what is new.
//
// The server is asked for this page again, with the version that is shown. It answers when there is another one. Only
// what differs is replaced, so that nobody loses their place: neither the keyboard's focus nor what is written or open.
(() => {
  "use strict";

  const body = document.body;
  const news = document.getElementById("news");
  const connection = document.getElementById("connection");
  const QUICK = 300;
  const LATER = 3000;

  const focusOn = document.getElementById("errors") || document.getElementById("done");
  if (focusOn) {
    focusOn.tabIndex = -1;
    focusOn.focus();
  }

  if (!body.dataset.version || !window.fetch) return;

  const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
  const visible = () => new Promise((resolve) => {
    if (!document.hidden) return resolve();
    document.addEventListener("visibilitychange", resolve, { once: true });
  });
  const show = (text) => {
    if (connection.textContent !== text) connection.textContent = text;
  };

  // The rows that are not shown yet go where they belong, those that are gone go; a row that has the focus stays.
  function renewRows(list, fresh) {
    const added = [];
    const wanted = new Set();
    let before = list.firstElementChild;
    for (const row of [...fresh.children]) {
      wanted.add(row.id);
      const shown = document.getElementById(row.id);
      if (shown) {
        before = shown.nextElementSibling;
      } else {
        added.push(list.insertBefore(row, before));
      }
    }
    for (const row of [...list.children]) {
      if (!wanted.has(row.id) && !row.contains(document.activeElement)) row.remove();
    }
    return added;
  }

  function renew(fresh) {
    const told = [];
    for (const list of document.querySelectorAll("[data-keyed]")) {
      const other = fresh.getElementById(list.id);
      const first = list.firstElementChild;
      const added = other ? renewRows(list, other) : [];
      // Rows that move up at the end of a page are no news
      const arrived = added.filter((row) => !first || row.compareDocumentPosition(first) & Node.DOCUMENT_POSITION_FOLLOWING);
      if (arrived.length === 1) {
        told.push(`${list.dataset.one}: ${arrived[0].firstElementChild.textContent}, ${arrived[0].querySelector(".to").textContent}`);
      } else if (arrived.length) {
        told.push(`${arrived.length} ${list.dataset.many}`);
      }
      for (const row of arrived) row.classList.add("arrived");
    }
    for (const part of document.querySelectorAll("[data-live]")) {
      const other = fresh.getElementById(part.id);
      if (!other || (other.innerHTML === part.innerHTML && other.className === part.className)) continue;
      if (part.contains(document.activeElement)) {
        // The focus would be lost with what is replaced: it goes to the part as a whole
        part.tabIndex = -1;
        part.focus();
      }
      part.className = other.className;
      part.replaceChildren(...other.childNodes);
      if (other.dataset.says) told.push(other.dataset.says);
    }
    body.dataset.version = fresh.body.dataset.version || "";
    if (told.length) news.textContent = told.join(". ");
  }

  async function ask() {
    const here = new URL(location.href);
    here.searchParams.delete("done");
    here.searchParams.set("seen", body.dataset.version);
    here.hash = "";
    const hidden = new AbortController();
    const stop = () => document.hidden && hidden.abort();
    document.addEventListener("visibilitychange", stop);
    try {
      const answer = await fetch(here, { signal: hidden.signal, cache: "no-store" });
      if (answer.status === 200) {
        renew(new DOMParser().parseFromString(await answer.text(), "text/html"));
      }
      return answer.status === 200 || answer.status === 204;
    } catch (error) {
      return error.name === "AbortError";
    } finally {
      document.removeEventListener("visibilitychange", stop);
    }
  }

  (async () => {
    for (;;) {
      await visible();
      const began = Date.now();
      const answered = await ask();
      show(answered ? "This page keeps itself up to date." : "The sandbox does not answer. This page tries again.");
      // A server that answers at once that there is nothing new cannot wait: it must not be asked all the time
      await sleep(answered && Date.now() - began > QUICK ? QUICK : LATER);
    }
  })();
  show("This page keeps itself up to date.");
})();
