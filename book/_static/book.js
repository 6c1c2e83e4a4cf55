// Whatever scrolls sideways can be reached with the keyboard, and says what it is.
(() => {
  "use strict";
  const kinds = [
    ["pre", "Code or output, scrolls sideways"],
    [".pst-scrollable-table-container, .cell_output", "Table or output, scrolls sideways"],
    ["div.math", "Formula, scrolls sideways"],
  ];
  function mark() {
    for (const [selector, label] of kinds) {
      for (const element of document.querySelectorAll(selector)) {
        const wide = element.scrollWidth > element.clientWidth + 1;
        if (wide && !element.hasAttribute("tabindex")) {
          element.tabIndex = 0;
          if (!element.hasAttribute("role")) {
            element.setAttribute("role", "group");
            element.setAttribute("aria-label", label);
          }
        } else if (!wide && element.tabIndex === 0 && element.getAttribute("role") === "group") {
          element.removeAttribute("tabindex");
          element.removeAttribute("role");
          element.removeAttribute("aria-label");
        }
      }
    }
  }
  function start() {
    mark();
    let pending = 0;
    addEventListener("resize", () => {
      cancelAnimationFrame(pending);
      pending = requestAnimationFrame(mark);
    });
    document.fonts?.ready.then(mark);
    document.addEventListener("toggle", mark, true);
  }
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
