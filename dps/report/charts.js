"use strict";

// In place of its picture, a figure to explore; where that fails, the picture stays. The interpreter (ast) needs no eval.
for (const data of document.querySelectorAll("script.specification")) {
  const figure = data.closest("figure");
  const place = figure.querySelector(".explored");
  const options = { mode: "vega-lite", renderer: "svg", ast: true, actions: false };
  place.hidden = false;
  vegaEmbed(place.querySelector(".chart"), JSON.parse(data.textContent), options).then(
    ({ view }) => {
      figure.querySelector("details.still").open = false;
      // A finger that taps does not move over the mark.
      view.addEventListener("click", (event, item) => view.tooltip()(null, event, item, item?.tooltip));
    },
    (error) => {
      place.hidden = true;
      throw error;
    },
  );
}
