// Lets readers of the scoreboard choose a source and a verdict. Without this script all rows are there.
(() => {
  const table = document.querySelector("table.specbias-scoreboard[data-filter]");
  if (!table) return;
  const rows = [...table.querySelectorAll("tbody tr[data-verdict]")];
  const heads = [...table.querySelectorAll("tbody tr:not([data-verdict])")];
  const form = document.createElement("form");
  form.className = "specbias-filter";
  form.addEventListener("submit", (event) => event.preventDefault());
  const choices = ["source", "verdict"].map((key) => {
    const label = document.createElement("label");
    const select = document.createElement("select");
    const names = [...new Set(rows.map((row) => row.dataset[key]))];
    for (const name of ["all", ...names]) select.add(new Option(name));
    label.append(`${key[0].toUpperCase()}${key.slice(1)} `, select);
    form.append(label);
    select.addEventListener("change", show);
    return [key, select];
  });
  const count = document.createElement("output");
  form.append(count);
  table.before(form);
  const wanted = new URLSearchParams(location.search);
  for (const [key, select] of choices) {
    if ([...select.options].some((option) => option.value === wanted.get(key))) select.value = wanted.get(key);
  }
  show();

  function show() {
    for (const row of rows) {
      row.hidden = choices.some(([key, select]) => select.value !== "all" && row.dataset[key] !== select.value);
    }
    for (const head of heads) {
      let row = head.nextElementSibling;
      while (row?.dataset.verdict && row.hidden) row = row.nextElementSibling;
      head.hidden = !row?.dataset.verdict;  // a chapter of which nothing is shown
    }
    count.value = `${rows.filter((row) => !row.hidden).length} of ${rows.length} claims`;
  }
})();
