/* A box above the messages of the troubleshooting page: a few words leave the messages that have all of them, a pasted message
   those that have most in common with it, since its paths and numbers are the reader's own. */
document.addEventListener("DOMContentLoaded", () => {
  const first = document.querySelector("section#troubleshooting section h2");
  const rows = [...document.querySelectorAll("section#troubleshooting section table tbody tr")];
  if (!first || rows.length < 100) return;
  const box = document.createElement("input");
  box.type = "search";
  box.className = "message-filter";
  box.placeholder = "Paste or type words of a message";
  box.setAttribute("aria-label", box.placeholder);
  const count = document.createElement("p");
  count.className = "message-count";
  const texts = rows.map((row) => row.textContent.toLowerCase());
  const sections = [...document.querySelectorAll("section#troubleshooting section")].filter((one) => one.querySelector("table"));
  const wordsOf = (text) => new Set(text.toLowerCase().replace(/‹[^›]*›/g, " ").match(/[a-z_]{2,}/g) || []);
  const words = rows.map((row) => wordsOf(row.cells[0].textContent));
  /* How much a message has in common with a pasted one: its words there, and the share of its words that they are. */
  function common(pasted, own) {
    const hits = [...own].filter((word) => pasted.has(word)).length;
    return own.size ? (hits * hits) / own.size : 0;
  }
  function filter() {
    const typed = wordsOf(box.value);
    let fits = texts.map((text) => [...typed].every((word) => text.includes(word)));
    if (typed.size > 4) {
      const scores = words.map((own) => common(typed, own));
      const least = 0.7 * Math.max(...scores);
      fits = scores.map((score) => score > 0 && score >= least);
    }
    rows.forEach((row, i) => { row.hidden = !fits[i]; });
    sections.forEach((one) => { one.hidden = ![...one.querySelectorAll("tbody tr")].some((row) => !row.hidden); });
    count.textContent = box.value.trim() ? `${fits.filter((one) => one).length} of ${rows.length} messages` : "";
  }
  box.addEventListener("input", filter);
  const messages = sections.find((one) => one.querySelectorAll("tbody tr").length > 20);
  messages.before(box, count);
});
