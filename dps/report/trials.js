"use strict";

// The table of trials: a page of it at a time, since there can be many thousands.
function showTrials(data, table) {
  const AT_ONCE = 25;
  const more = document.getElementById("more");
  const selects = [...document.querySelectorAll("#filters select")];
  const heads = [...table.tHead.rows[0].cells];
  let shown = AT_ONCE;
  let sorted = { column: 0, rising: true };

  function cell(value, column) {
    const made = document.createElement("td");
    if (Array.isArray(value) && value[1]) {
      const link = document.createElement("a");
      [link.textContent, link.href] = value;
      made.append(link);
    } else {
      const plain = Array.isArray(value) ? value[0] : (value ?? "-");
      const rounded = typeof plain === "number" && !Number.isInteger(plain);
      made.textContent = rounded ? String(Number(plain.toPrecision(column.digits))) : String(plain);
    }
    if (column.numeric) made.className = "number";
    return made;
  }

  function kept(row) {
    return selects.every((select) => {
      const { column, values } = data.filters[selects.indexOf(select)];
      return select.value === "" || row[column] === values[Number(select.value)];
    });
  }

  // What is empty comes last in both directions.
  function compare(left, right) {
    const [a, b] = [left[sorted.column], right[sorted.column]];
    if (a === null || b === null) return (a === null) - (b === null);
    const order = data.columns[sorted.column].numeric ? a - b : String(a).localeCompare(String(b));
    return sorted.rising ? order : -order;
  }

  function fill() {
    const rows = data.rows.filter(kept);
    if (heads.some((head) => head.getAttribute("aria-sort") !== "none")) rows.sort(compare);
    const made = rows.slice(0, shown).map((row) => {
      const line = document.createElement("tr");
      line.append(...row.map((value, at) => cell(value, data.columns[at])));
      return line;
    });
    table.tBodies[0].replaceChildren(...made);
    document.getElementById("count").textContent =
      `${rows.length} of ${data.rows.length} trials` + (made.length < rows.length ? `, ${made.length} shown` : "");
    more.hidden = made.length === rows.length;
  }

  heads.forEach((head, column) =>
    head.querySelector("button").addEventListener("click", () => {
      sorted = { column, rising: head.getAttribute("aria-sort") !== "ascending" };
      for (const other of heads) other.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", sorted.rising ? "ascending" : "descending");
      fill();
    }),
  );
  for (const select of selects) select.addEventListener("change", fill);
  more.addEventListener("click", () => {
    shown += AT_ONCE;
    fill();
  });
  table.hidden = false;
  document.getElementById("filters").hidden = false;
  fill();
}

showTrials(JSON.parse(document.getElementById("trials-data").textContent), document.getElementById("all-trials"));
