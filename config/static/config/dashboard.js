// The dashboard's panels, asked for again and again while somebody can see them.
(() => {
  "use strict";
  const root = document.getElementById("dashboard");
  const age = document.getElementById("dash-age");
  const pause = document.getElementById("dash-pause");
  const seconds = Number(root.dataset.seconds);
  let paused = false;
  let busy = false;
  let failed = false;

  const readAt = () => new Date(root.firstElementChild.dataset.readAt);
  const clock = () => readAt().toISOString().slice(11, 19);

  function tell() {
    root.classList.toggle("stale", failed);
    age.classList.toggle("stale", failed);
    age.textContent = failed ? `Not refreshed since ${clock()} UTC` : `${paused ? "Paused" : "As"} at ${clock()} UTC`;
  }

  async function refresh() {
    if (busy || paused || document.hidden) return;
    busy = true;
    try {
      const answer = await fetch(root.dataset.url, { credentials: "same-origin" });
      if (answer.redirected) {
        // The session is over: this page leads to the log-in.
        window.location.reload();
        return;
      }
      if (!answer.ok) throw new Error(String(answer.status));
      const open = [...root.querySelectorAll("details[open]")].map((each) => each.id);
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      root.replaceChildren(...fresh.body.children);
      for (const id of open) document.getElementById(id)?.setAttribute("open", "");
      failed = false;
    } catch {
      failed = true;
    } finally {
      busy = false;
    }
    tell();
  }

  pause.hidden = false;
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    pause.textContent = paused ? "Go on" : "Pause";
    tell();
    void refresh();
  });
  document.addEventListener("visibilitychange", () => void refresh());
  window.setInterval(() => void refresh(), seconds * 1000);
  tell();
})();
