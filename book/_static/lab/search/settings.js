// What the lab shows, in the address; whatever an address says, it comes out usable.

export const LIMITS = {sentences: 60, signs: 2000, link: 12_000};

/** Lines of a text as sentences: trimmed, none empty, none twice. @param {string} text @returns {string[]} */
export function lines(text) {
  const found = text.split(/\r\n|[\n\r\u2028\u2029]/).map((line) => line.trim().slice(0, LIMITS.signs)).filter(Boolean);
  return [...new Set(found)];
}

/** @param {string} hash of an address; @returns {{sentences: string[]|null, chosen: number, question: string}|null} null where it says nothing of the lab */
export function fromAddress(hash) {
  const found = new URLSearchParams(hash.replace(/^#/, ""));
  if (!found.has("sentences") && !found.has("question")) return null;
  const sentences = found.has("sentences") ? lines(found.get("sentences")).slice(0, LIMITS.sentences) : null;
  const chosen = Math.trunc(Number(found.get("chosen") ?? 0));
  return {
    sentences: sentences?.length ? sentences : null,
    chosen: chosen >= 0 && chosen < (sentences?.length ?? 0) ? chosen : 0,
    question: (found.get("question") ?? "").trim().slice(0, LIMITS.signs),
  };
}

/** @returns {string} "#sentences=…": the part of an address that browsers keep to themselves */
export function toAddress({sentences, chosen, question}) {
  const said = new URLSearchParams({sentences: sentences.join("\n"), chosen, ...(question ? {question} : {})});
  return `#${said}`;
}
