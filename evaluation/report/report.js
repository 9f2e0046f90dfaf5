"use strict";
// Sorts and filters the answers of the page, and draws how their scores are distributed. No library, no network.
(function () {
  const entries = JSON.parse(document.getElementById("answers-data").textContent);
  const page = 24;
  const bins = 20;
  const orders = {
    worst: (a, b) => a.score - b.score,
    best: (a, b) => b.score - a.score,
    id: (a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0),
  };
  const byId = (name) => document.getElementById(name);
  let shown = page;

  function element(kind, words, name) {
    const made = document.createElement(kind);
    if (words !== undefined) made.textContent = words;
    if (name) made.className = name;
    return made;
  }

  function fill(select, names) {
    for (const name of [...new Set(names)].sort()) select.append(new Option(name, name));
  }

  function chosen() {
    const task = byId("task").value, row = byId("row").value, defect = byId("defect").value;
    const low = Number(byId("low").value || 0), high = Number(byId("high").value || 1);
    const words = byId("words").value.toLowerCase();
    const found = entries.filter((one) =>
      (!task || one.task === task) && (!row || one.row === row) &&
      (!defect || (defect === "none" ? !one.defects.length : one.defects.includes(defect))) &&
      one.score >= low && one.score <= high &&
      (!words || (one.id + "\n" + one.question + "\n" + one.answer + "\n" + one.truth).toLowerCase().includes(words)));
    return found.sort(orders[byId("order").value]);
  }

  function card(one) {
    const figure = element("figure"), pair = element("div", undefined, "pair");
    figure.dataset.id = one.id;
    figure.dataset.score = one.score;
    one.pictures.forEach(function (address, place) {
      if (!address) return;
      const side = element("div"), picture = element("img");
      picture.src = address;
      picture.alt = (place ? "predicted: " : "truth: ") + one.question;
      side.append(picture, element("span", place ? "predicted" : one.pictures[1] ? "truth" : "asked about"));
      pair.append(side);
    });
    const caption = element("figcaption"), list = element("dl");
    caption.append(element("span", one.score.toFixed(2), "kind"), element("span", one.id + " · " + one.row, "soft"));
    for (const name of ["question", "answer", "truth"])
      if (one[name]) list.append(element("dt", name), element("dd", one[name]));
    for (const defect of one.defects) caption.append(element("span", defect, "defect"));
    caption.append(list);
    figure.append(pair, caption);
    return figure;
  }

  function histogram(found) {
    const counts = new Array(bins).fill(0);
    for (const one of found) counts[Math.min(bins - 1, Math.floor(one.score * bins))] += 1;
    const most = Math.max(1, ...counts), high = 90, wide = 24;
    const space = document.querySelector("svg").namespaceURI, chart = document.createElementNS(space, "svg");
    chart.setAttribute("viewBox", "0 0 " + bins * wide + " " + (high + 34));
    chart.setAttribute("role", "img");
    chart.setAttribute("aria-label", "How many answers have which score");
    function add(kind, attributes, words) {
      const made = document.createElementNS(space, kind);
      for (const name in attributes) made.setAttribute(name, attributes[name]);
      if (words !== undefined) made.textContent = words;
      chart.append(made);
      return made;
    }
    counts.forEach(function (count, place) {
      const tall = (high * count) / most, left = place * wide;
      const bar = add("rect", { class: "mark", x: left + 1, y: high + 14 - tall, width: wide - 2, height: tall });
      const title = document.createElementNS(space, "title");
      title.textContent = (place / bins).toFixed(2) + " to " + ((place + 1) / bins).toFixed(2) + ": " + count;
      bar.append(title);
      if (count) add("text", { class: "tick", x: left + wide / 2, y: high + 10 - tall, "text-anchor": "middle" }, count);
    });
    for (const tick of [0, 0.25, 0.5, 0.75, 1])
      add("text", { class: "tick", x: Math.min(Math.max(tick * bins * wide, 8), bins * wide - 8), y: high + 30,
                    "text-anchor": "middle" }, tick);
    byId("histogram").replaceChildren(chart);
  }

  function show() {
    const found = chosen();
    byId("cards").replaceChildren(...found.slice(0, shown).map(card));
    byId("counted").textContent = found.length + " of " + entries.length + " answers";
    byId("more").hidden = found.length <= shown;
    histogram(found);
  }

  fill(byId("task"), entries.map((one) => one.task));
  fill(byId("row"), entries.map((one) => one.row));
  fill(byId("defect"), entries.flatMap((one) => one.defects));
  for (const name of ["task", "row", "defect", "low", "high", "words", "order"])
    byId(name).addEventListener("input", function () { shown = page; show(); });
  byId("more").addEventListener("click", function () { shown += page; show(); });
  show();
})();
