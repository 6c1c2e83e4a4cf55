// What a prompt is made of: completion from the phrases that the model learned, and what it has never met.

/** A phrase without the article before it: what a reader begins to type. */
const bare = (phrase) => phrase.replace(/^(an?|the|on an?|in|of) /, "");
const lower = (text) => text.toLocaleLowerCase("en").trim();

/**
 * The part of a prompt, between commas, in which the caret stands.
 * @returns {{begin: number, end: number, text: string, place: number}} place counts the commas before it
 */
export function segment(prompt, caret) {
  const begin = prompt.lastIndexOf(",", caret - 1) + 1, comma = prompt.indexOf(",", caret);
  const end = comma < 0 ? prompt.length : comma;
  return {begin, end, text: prompt.slice(begin, end).trim(), place: prompt.slice(0, begin).split(",").length - 1};
}

/**
 * What the part at the caret may become.
 * @param {{parts: {name: string, phrases: string[]}[]}} words words.json
 * @returns {string[]} at most `most` phrases, those that begin as typed first
 */
export function complete(words, prompt, caret, most = 8) {
  const here = segment(prompt, caret), typed = lower(here.text), others = lower(prompt.slice(0, here.begin)) + lower(prompt.slice(here.end));
  const free = words.parts.filter(({phrases}) => !phrases.some((phrase) => others.includes(lower(phrase))));
  const parts = here.place === 0 ? free.slice(0, 1) : free.filter((_, place) => place > 0 || free.length < words.parts.length);
  const scored = [];
  for (const {phrases} of parts)
    for (const phrase of phrases) {
      if (lower(phrase) === typed) continue;
      const at = ` ${lower(phrase)}`.indexOf(` ${typed}`);
      if (at >= 0) scored.push([at === 0 || lower(bare(phrase)).startsWith(typed) ? 0 : 1, scored.length, phrase]);
    }
  return scored.sort((a, b) => a[0] - b[0] || a[1] - b[1]).slice(0, most).map(([, , phrase]) => phrase);
}

/** The prompt with the part at the caret replaced, and where the caret then stands. */
export function accept(words, prompt, caret, phrase) {
  const here = segment(prompt, caret), before = prompt.slice(0, here.begin).trimEnd();
  const left = `${before}${before ? " " : ""}${phrase}`, rest = prompt.slice(here.end);
  const full = words.parts.every(({phrases}) => phrases.some((one) => lower(left + rest).includes(lower(one))));
  const more = rest === "" && !full ? ", " : "";
  return {prompt: left + more + rest, caret: (left + more).length};
}

/** Words of the prompt that none of the phrases has. */
export function unknown(words, prompt) {
  const spoken = (text) => lower(text).match(/[\p{L}\p{N}]+(?:['’-][\p{L}]+)*/gu) || [];
  const known = new Set(words.parts.flatMap(({phrases}) => phrases.flatMap(spoken)));
  for (const word of ["a", "an", "the", "of", "on", "in", "with", "and", "style", "background"]) known.add(word);
  return [...new Set(spoken(prompt).filter((word) => !known.has(word)))];
}

/** A prompt by chance: one phrase of each part. */
export function chance(words, random = Math.random) {
  return words.parts.map(({phrases}) => phrases[Math.floor(random() * phrases.length)]).join(", ");
}
