"use strict";
(() => {
  const root = document.documentElement, button = document.getElementById("theme");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
  const say = () => { button.textContent = isDark() ? "light" : "dark"; button.setAttribute("aria-label", `Switch to ${button.textContent} colours`); };
  try { const kept = localStorage.getItem("gantune-theme"); if (kept === "dark" || kept === "light") root.dataset.theme = kept; } catch { /* storage is off */ }
  button.hidden = false;
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    try { localStorage.setItem("gantune-theme", root.dataset.theme); } catch { /* storage is off */ }
    say();
    document.dispatchEvent(new Event("theme"));
  });
  dark.addEventListener("change", () => { say(); document.dispatchEvent(new Event("theme")); });
  say();
})();
