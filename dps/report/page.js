"use strict";

// Numbers by value, words by the alphabet, what is empty last in both directions.
function sortBy(head) {
  const rising = head.getAttribute("aria-sort") !== "ascending";
  const column = head.cellIndex;
  const numeric = head.classList.contains("number");
  const body = head.closest("table").tBodies[0];
  const value = (row) => row.cells[column].dataset.value;
  const compare = (a, b) => (numeric ? Number(a) - Number(b) : a.localeCompare(b));
  const rows = [...body.rows].sort((left, right) => {
    const [a, b] = [value(left), value(right)];
    if (a === "" || b === "") return (a === "") - (b === "");
    return rising ? compare(a, b) : compare(b, a);
  });
  body.append(...rows);
  for (const other of head.parentNode.cells) other.setAttribute("aria-sort", "none");
  head.setAttribute("aria-sort", rising ? "ascending" : "descending");
}

// Where the clipboard is closed to a local file, the text is left selected.
async function copy(button) {
  const code = button.previousElementSibling;
  let said = "Copied";
  try {
    await navigator.clipboard.writeText(code.textContent);
  } catch {
    getSelection().selectAllChildren(code);
    said = "Selected";
  }
  button.textContent = said;
  document.getElementById("status").textContent =
    said === "Copied" ? "The command is copied." : "The command is selected: press Ctrl+C.";
  setTimeout(() => (button.textContent = "Copy"), 3000);
}

for (const button of document.querySelectorAll(".sortable:not(#all-trials) th button")) {
  button.addEventListener("click", () => sortBy(button.closest("th")));
}
for (const button of document.querySelectorAll("button.copy")) {
  button.addEventListener("click", () => copy(button));
}
