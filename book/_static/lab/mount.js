// How a lab comes to life on its page: styles and data first, then what it builds takes the place of the static picture.
import {el} from "./shared.js";

/**
 * @param {string} lab as the page's element names it
 * @param {string[]} sheets addresses of its style sheets
 * @param {{prepare: () => Promise<any>, build: (host: HTMLElement, root: ShadowRoot, data: any) => Promise<void>, sorry: string}} how
 *   `sorry` is said where it cannot start, with the static picture that stays; an error with a `sentence` says more
 */
export function mount(lab, sheets, {prepare, build, sorry}) {
  async function live(host) {
    const data = await prepare(), root = host.attachShadow({mode: "open"});
    const links = sheets.map((href) => el("link", null, null, {rel: "stylesheet", href}));
    const arrived = Promise.all(links.map((link) => new Promise((resolve) => { link.onload = link.onerror = resolve; })));
    root.append(...links, el("slot"));
    await arrived;
    const listed = build(host, root, data);
    root.querySelector("slot").remove();
    await listed;
  }
  for (const host of document.querySelectorAll(`[data-lab="${lab}"]`)) {
    host.bookkit = {};
    host.bookkit.ready = live(host).catch((error) => {
      if (!error.sentence) console.error(error);
      const note = host.querySelector(".bk-lab-note");
      if (note) note.textContent = error.sentence ?? sorry;
    });
  }
}
