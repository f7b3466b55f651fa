(() => {
  const table = document.getElementById("table");
  if (!table) return;
  const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
  const rows = () => [...body.rows].filter((row) => !row.classList.contains("detail"));
  let data = null;
  const load = () => (data ??= JSON.parse(document.getElementById("data").textContent));

  const key = (row, column) => {
    const text = row.cells[column].dataset.sort;
    return text === "" ? null : Number.isNaN(Number(text)) ? text : Number(text);
  };
  const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)));
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") === "ascending";
    heads.forEach((other) => other.setAttribute("aria-sort", "none"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const keyed = rows().map((row) => [key(row, column), row, row.nextElementSibling]);
    keyed.sort(([a], [b]) => (a === null ? (b === null ? 0 : 1) : b === null ? -1 : (down ? -1 : 1) * compare(a, b)));
    const sorted = document.createDocumentFragment();
    for (const [, row, next] of keyed) { sorted.append(row); if (next && next.classList.contains("detail")) sorted.append(next); }
    body.append(sorted);
  }));

  const form = document.getElementById("filters"), shown = document.getElementById("shown");
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("change", () => {
    const { verdict, status } = form.elements;
    let count = 0;
    for (const row of rows()) {
      const fits = (!verdict.value || row.dataset.verdict === verdict.value) && (!status.value || row.dataset.status === status.value);
      row.hidden = !fits;
      const next = row.nextElementSibling;
      if (next && next.classList.contains("detail")) next.hidden = !fits;
      count += fits;
    }
    shown.textContent = count === 1 ? "1 trial" : `${count} trials`;
  });

  const make = (tag, text, name) => {
    const node = document.createElement(tag);
    if (text !== undefined) node.textContent = text;
    if (name) node.className = name;
    return node;
  };
  const svg = (tag, attributes, text) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    if (text !== undefined) node.textContent = text;
    return node;
  };
  const brief = (value) => {
    const size = Math.abs(value);
    return value === 0 ? "0" : size >= 1e5 || size < 1e-3 ? value.toExponential(1) : String(Number(value.toPrecision(3)));
  };
  const steps = (low, high) => {
    let step = 10 ** Math.floor(Math.log10((high - low) / 4));
    step *= [1, 2, 5, 10].find((m) => (high - low) / (step * m) <= 4);
    const found = [];
    for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-9; at += step) found.push(at);
    return found;
  };

  function chart(title, epochs, series, range) {
    const W = 300, H = 158, L = 46, R = 10, T = 28, B = 28;
    const known = series.flatMap((s) => s.values).filter((v) => v !== null);
    let [low, high] = range || [Math.min(...known), Math.max(...known)];
    if (low === high) { low -= Math.abs(low) * 0.1 || 0.5; high += Math.abs(high) * 0.1 || 0.5; }
    const first = epochs[0], last = Math.max(epochs[epochs.length - 1], first + 1);
    const x = (v) => L + ((v - first) / (last - first)) * (W - L - R);
    const y = (v) => H - B - ((v - low) / (high - low)) * (H - B - T);
    const ends = series.map((s) => { const v = s.values.filter((w) => w !== null); return `${s.name} ends at ${brief(v[v.length - 1])}`; });
    const drawing = svg("svg", { viewBox: `0 0 ${W} ${H}`, class: "drawing", role: "img", "aria-label": `${title} over epochs; ${ends.join(", ")}` });
    for (const tick of steps(low, high)) {
      drawing.append(svg("path", { class: "s-faint", d: `M${L} ${y(tick)}H${W - R}` }), svg("text", { class: "f-muted", x: L - 6, y: y(tick) + 3.5, "font-size": 11, "text-anchor": "end" }, brief(tick)));
    }
    for (const tick of steps(first, last)) if (Number.isInteger(Math.round(tick * 1e6) / 1e6)) drawing.append(svg("text", { class: "f-muted", x: x(tick), y: H - 12, "font-size": 11, "text-anchor": "middle" }, String(Math.round(tick))));
    drawing.append(svg("text", { class: "f-text", x: 4, y: 16, "font-size": 11.5, "font-weight": 600 }, title));
    let at = W - R;
    for (const s of series) {
      const points = epochs.map((e, i) => [e, s.values[i]]).filter(([, v]) => v !== null);
      const path = points.map(([e, v], i) => `${i ? "L" : "M"}${x(e).toFixed(1)} ${y(v).toFixed(1)}`).join("");
      drawing.append(points.length === 1 ? svg("circle", { class: `f-${s.ink}`, cx: x(points[0][0]), cy: y(points[0][1]), r: 2.5 }) : svg("path", { class: `s-${s.ink}`, d: path, "stroke-width": 1.7 }));
      if (series.length > 1) { drawing.append(svg("text", { class: `f-${s.ink}`, x: at, y: 16, "font-size": 11, "font-weight": 600, "text-anchor": "end" }, s.name)); at -= 7 * s.name.length + 10; }
    }
    return drawing;
  }

  const CHARTS = [
    ["objective", [["objective", "value", "grey"], ["best_objective", "best", "blue"]]],
    ["D accuracy", [["d_acc", "accuracy", "blue"], ["d_auc", "AUC", "orange"]], [0, 1]],
    ["losses", [["g_loss", "G", "orange"], ["d_loss", "D", "blue"]]],
    ["gradient norms", [["g_grad_norm", "G", "orange"], ["d_grad_norm", "D", "blue"]]],
    ["modes", [["modes", "modes", "blue"]]],
    ["evenness, coverage", [["mode_entropy", "evenness", "blue"], ["coverage", "coverage", "orange"]], [0, 1]],
    ["precision, recall", [["precision", "precision", "blue"], ["recall", "recall", "orange"]], [0, 1]],
  ];

  function list(pairs) {
    const found = make("dl");
    for (const [name, value] of pairs) {
      if (value === null || value === undefined || value === "") continue;
      const term = make("dt"), said = make("dd"), isolated = make("bdi", String(value));
      term.append(make("bdi", name)); said.append(isolated); found.append(term, said);
    }
    return found;
  }

  function inside(number) {
    const { trials, curves, pictures, command } = load(), trial = trials[number], found = make("div", undefined, "inside");
    if (trial.error) found.append(make("h4", "Error"), list([["error", trial.error]]));
    if (trial.evidence) found.append(make("h4", "Evidence"), make("p", trial.evidence));
    const grid = pictures[number];
    found.append(make("h4", "Samples over time"));
    if (grid) {
      found.append(make("p", "The same latents in every picture and in every trial, so that places compare.", "note"));
      const strip = make("div", undefined, "strip");
      strip.tabIndex = 0; strip.setAttribute("role", "region"); strip.setAttribute("aria-label", `Samples of trial ${number} over time`);
      grid.epochs.forEach((epoch, i) => {
        const figure = make("figure"), image = make("img");
        image.src = grid.images[i]; image.alt = `Samples of trial ${number} at epoch ${epoch}`; const [width, height] = grid.sizes[i], times = width <= 100 ? 2 : Math.min(1, 160 / width);
        image.width = Math.round(width * times); image.height = Math.round(height * times);
        figure.append(image, make("figcaption", `epoch ${epoch}`)); strip.append(figure);
      });
      found.append(strip);
    } else found.append(make("p", "No pictures in this page: the run keeps them of its best trials only, or the page had no room.", "note"));
    const panels = make("div", undefined, "panels"), own = curves[number];
    for (const [title, parts, range] of own ? CHARTS : []) {
      const series = parts.filter(([name]) => own[name]).map(([name, said, ink]) => ({ values: own[name], name: said, ink }));
      if (series.length) panels.append(chart(title, own.epoch, series, range));
    }
    found.append(make("h4", "Curves"), panels.children.length ? panels : make("p", "Nothing was recorded.", "note"));
    found.append(make("h4", "Configuration"), list(trial.parameters.length ? trial.parameters : [["nothing searched", "the study's own trial"]]));
    found.append(make("h4", "Facts"), list(trial.facts), make("h4", "Train it again"), make("code", command.replace("{}", number), "command"));
    return found;
  }

  const toggle = (row) => {
    const button = row.querySelector("button.open"), next = row.nextElementSibling;
    const isOpen = button.getAttribute("aria-expanded") === "true";
    button.setAttribute("aria-expanded", String(!isOpen));
    if (isOpen) { next.remove(); return; }
    const detail = make("tr", undefined, "detail"), cell = make("td");
    cell.colSpan = heads.length;
    cell.append(inside(row.id.replace("trial-", "")));
    detail.append(cell);
    row.after(detail);
  };
  body.addEventListener("click", (event) => {
    const button = event.target.closest("button.open");
    if (button) toggle(button.closest("tr"));
  });
  const follow = () => {
    const row = /^#trial-\d+$/.test(location.hash) && document.getElementById(location.hash.slice(1));
    if (row && row.querySelector("button.open").getAttribute("aria-expanded") === "false") toggle(row);
  };
  addEventListener("hashchange", follow);
  follow();
})();
