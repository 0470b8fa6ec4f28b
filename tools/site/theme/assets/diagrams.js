// What the theme's colours of diagrams leave out: heads of arrows and titles of sections in sequences, which stayed
// black in the dark.
const initialize = mermaid.initialize;
mermaid.initialize = (config) =>
  initialize({
    ...config,
    themeCSS: `${config.themeCSS ?? ""}
      defs marker path, defs marker polygon { fill: var(--md-mermaid-edge-color) !important; stroke: var(--md-mermaid-edge-color) !important; }
      .sectionTitle, .sectionTitle > tspan, .loopText, .loopText > tspan { fill: var(--md-mermaid-edge-color) !important; }`,
  });
