// In the sandboxed frame of a learning platform, or where a reader forbids it, the browser refuses storage with an error
// that would stop the theme's scripts. There, what they want to keep lasts as long as the page.
(() => {
  "use strict";
  for (const name of ["localStorage", "sessionStorage"]) {
    try {
      window[name].setItem("book", "");
      window[name].removeItem("book");
    } catch {
      const kept = new Map();
      const value = {
        getItem: (key) => kept.get(String(key)) ?? null,
        setItem: (key, item) => { kept.set(String(key), String(item)); },
        removeItem: (key) => { kept.delete(String(key)); },
        clear: () => { kept.clear(); },
      };
      Object.defineProperty(window, name, {value, configurable: true});
    }
  }
})();
