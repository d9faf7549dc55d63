// The start of the page, before Voila's own script: theme, the waiting line, and what Voila calls.
(() => {
  // The token did its work when it set the cookie; it should not stay in the address bar or the history.
  history.replaceState(null, "", location.pathname);
  document.title = "Model Surgery";

  const dark = matchMedia("(prefers-color-scheme: dark)");
  const follow = () => {
    document.body.dataset.jpThemeLight = String(!dark.matches);
    document.body.dataset.jpThemeName = dark.matches ? "JupyterLab Dark" : "JupyterLab Light";
  };
  dark.addEventListener("change", follow);
  follow();

  const start = document.getElementById("ms-start");
  const say = (text) => { document.getElementById("ms-start-text").textContent = text; };
  const fail = () => {
    start.classList.add("ms-failed");
    say("The studio could not start. The terminal where Model Surgery was started says why.");
  };

  // The waiting line goes when the first widget is on the page, or says that none will come.
  const look = () => {
    const cells = document.getElementById("rendered_cells");
    if (cells.querySelector(".jupyter-widgets, .widget-box, [data-ready]")) { start.remove(); watch.disconnect(); }
    if (cells.querySelector('[data-mime-type="application/vnd.jupyter.stderr"]')) { fail(); watch.disconnect(); }
  };
  const watch = new MutationObserver(look);

  window.ms_failed = fail;
  window.voila_heartbeat = () => {};
  window.voila_process = () => say("Opening the studio…");
  window.voila_finish = () => {
    if (!window.themeLoaded) { window.cellLoaded = true; return; }
    const cells = document.getElementById("rendered_cells");
    cells.style.display = "";
    watch.observe(cells, { childList: true, subtree: true });
    look();
  };
})();
