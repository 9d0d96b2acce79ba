/* A box above the messages of the troubleshooting page: what is typed or pasted leaves those with the same words. */
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
  const words = rows.map((row) => row.textContent.toLowerCase());
  const sections = [...document.querySelectorAll("section#troubleshooting section")].filter((one) => one.querySelector("table"));
  function filter() {
    // of a pasted message only words that stand in some message: paths and numbers in it are the reader's own
    const typed = (box.value.toLowerCase().match(/[a-z_]{2,}/g) || []).filter((word) => words.some((text) => text.includes(word)));
    const least = typed.length > 6 ? Math.ceil(typed.length * 0.7) : typed.length;
    let shown = 0;
    rows.forEach((row, i) => {
      row.hidden = typed.filter((word) => words[i].includes(word)).length < least;
      shown += row.hidden ? 0 : 1;
    });
    sections.forEach((one) => { one.hidden = ![...one.querySelectorAll("tbody tr")].some((row) => !row.hidden); });
    count.textContent = box.value.trim() ? `${shown} of ${rows.length} messages` : "";
  }
  box.addEventListener("input", filter);
  const messages = sections.find((one) => one.querySelectorAll("tbody tr").length > 20);
  messages.before(box, count);
});
