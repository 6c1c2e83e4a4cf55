// A small tree of how a text could go on: the likeliest tokens, what could follow each of them, and so on.
import {el, face} from "../shared.js";
import {small} from "./bars.js";

const WIDE = 3, DEEP = 8;

/**
 * @param {object} told
 * @param {(path: number[]) => Promise<{id: number, share: number}[]>} told.likeliest tokens behind the text and a path, the likeliest first
 * @param {() => object} told.vocabulary
 * @param {(path: number[]) => void} told.take continues the text along a path
 * @param {(text: string) => void} told.say
 */
export function tree(told) {
  const node = el("div", "bk-text-tree"), roots = el("ul", "bk-text-roots", null, {"aria-label": "How the text could go on"}), scroll = el("div", "bk-text-scroll", null, {tabindex: 0, role: "group", "aria-label": "Tree of alternatives"});
  const path = el("p", "bk-text-path"), odds = el("p", "bkv-note"), take = el("button", "bkv-link", "Write this into the text", {type: "button"}), foot = el("div", "bk-text-foot");
  let planted = 0, ground = "", chosen = null;
  scroll.append(roots);
  foot.append(path, odds, take);
  node.append(scroll, foot);
  const way = (twig) => twig ? [...way(twig.parent), twig] : [], ids = (twig) => way(twig).map(({id}) => id);
  take.onclick = () => told.take(ids(chosen));

  /** The next tokens behind a twig, three of them; nothing where it has them already, or where the tree is deep enough. */
  async function grow(parent) {
    const place = parent ? parent.list : roots, time = planted;
    if (parent && (parent.grown || ids(parent).length >= DEEP)) return [];
    if (parent) parent.grown = true;
    const likeliest = (await told.likeliest(ids(parent))).slice(0, WIDE);
    if (time !== planted) return [];
    const twigs = likeliest.map(({id, share}) => {
      const item = el("li"), button = el("button", "bk-text-twig", null, {type: "button"}), list = el("ul"), {parts, name} = told.vocabulary().face(id);
      button.append(face(parts), el("small", null, small(share)));
      button.setAttribute("aria-label", `${name}, ${small(share)}`);
      button.style.setProperty("--share", share.toFixed(3));
      item.append(button, list);
      const twig = {id, share, parent, button, list, grown: false};
      button.onclick = () => press(twig);
      return twig;
    });
    place.replaceChildren(...twigs.map(({button}) => button.parentElement));
    return twigs;
  }
  function choose(twig) {
    for (const old of roots.querySelectorAll(".bk-text-twig")) { delete old.dataset.way; old.removeAttribute("aria-pressed"); }
    chosen = twig;
    for (const {button} of way(twig)) button.dataset.way = "";
    twig?.button.setAttribute("aria-pressed", "true");
    take.hidden = !twig;
    path.textContent = twig ? `… ${told.vocabulary().text(ids(twig))}` : "";
    const all = way(twig).reduce((product, {share}) => product * share, 1), length = ids(twig).length;
    odds.textContent = !twig ? "Press a token to see what could follow it." : `${length === 1 ? "This token" : `These ${length} tokens together`}: ${small(all)}.`;
  }
  async function press(twig) {
    choose(twig);
    const twigs = await grow(twig);
    twigs.at(-1)?.button.scrollIntoView({block: "nearest", inline: "nearest"});
    told.say(`${path.textContent} ${odds.textContent}${twigs.length ? ` Next: ${twigs.map(({button}) => button.getAttribute("aria-label")).join("; ")}` : ""}`);
  }
  /** A new tree for a text that the old one does not belong to: three tokens, three behind each, and behind the likeliest. */
  async function plant(text) {
    if (text === ground) return;
    ground = text;
    planted++;
    choose(null);
    const first = [];
    for (const twig of await grow(null)) first.push((await grow(twig))[0]);
    if (first[0]) await grow(first[0]);
  }
  return {node, plant};
}
