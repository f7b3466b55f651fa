(() => {
  const packed = document.getElementById("plotly");
  if (!packed) return;
  const figures = JSON.parse(document.getElementById("plots").textContent), drawn = new Map();
  let library = null;
  // The library is large: it is unpacked when the first plot comes into view.
  const unpack = async () => {
    const bytes = Uint8Array.from(atob(packed.textContent), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(stream).text();
    document.head.append(script);
    packed.remove();
  };
  const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const themed = (layout) => {
    const found = { ...layout, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", margin: { l: 70, r: 30, t: 20, b: 60 },
      font: { family: "system-ui, sans-serif", size: 12, color: ink("muted") }, hoverlabel: { bgcolor: ink("paper"), font: { color: ink("text") } } };
    for (const name of Object.keys(layout).concat(["xaxis", "yaxis"])) {
      if (/^[xy]axis\d*$/.test(name)) found[name] = { ...layout[name], gridcolor: ink("faint"), zeroline: false, automargin: true };
    }
    return found;
  };
  const draw = async (details) => {
    const name = details.dataset.plot, host = details.querySelector(".plot");
    if (drawn.has(name)) return;
    drawn.set(name, host);
    try {
      await (library ??= unpack());
      await window.Plotly.newPlot(host, figures[name].data, themed(figures[name].layout), { responsive: true, displayModeBar: false });
      details.dataset.drawn = "yes";
    } catch (error) {
      host.textContent = `This browser cannot draw the plot: ${error.message}`;
    }
  };
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting && entry.target.open) draw(entry.target);
  }, { rootMargin: "300px" });
  for (const details of document.querySelectorAll("details[data-plot]")) {
    seen.observe(details);
    details.addEventListener("toggle", () => { if (details.open) draw(details); });
  }
  document.addEventListener("theme", () => {
    for (const [name, host] of drawn) if (host.data) window.Plotly.relayout(host, themed(figures[name].layout));
  });
})();
