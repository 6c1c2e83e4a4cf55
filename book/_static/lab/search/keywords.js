// The site's own search, which every page has: Sphinx's index and Sphinx's rules, for a list of our own.

/** @returns {boolean} whether the page has it */
export const there = () => typeof Search === "object" && Search.hasIndex();

/** The lab's page holds what its examples ask for; it is left out, as among the passages. */
const OWN_PAGE = "book/lab/search";

/**
 * What the site's search page would list for a query, in its order, without the lab's own page.
 * @param {string} query
 * @returns {{place: string, title: string, headings: string}[]} pages, and headings that the query names
 */
export function keywordSearch(query) {
  const [asked, ...terms] = Search._parseQuery(query);
  // It remembers the words, to mark them on the next page; here nobody has gone there yet.
  localStorage.removeItem("sphinx_highlight_terms");
  return Search._performSearch(asked, ...terms).reverse().filter(([page]) => page !== OWN_PAGE).map(([page, title, anchor]) => {
    const [first, ...more] = title.split(" > ");
    return {place: `${page}.html${anchor}`, title: first, headings: more.join(" › ")};
  });
}
