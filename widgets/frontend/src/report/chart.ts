// The chart beside the report is plotly's own widget: it draws its first picture 700 px wide, since it
// is not yet in the page, and measures its room only when the window says that it was resized.

/** Has a chart that appears in the studio around `inside` take the room it has. */
export function fitCharts(inside: Element): () => void {
  const place = inside.closest(".ms-studio")?.querySelector(".ms-area-chart");
  if (!place) return () => undefined;
  let known: Element | null = null;
  const look = () => {
    const drawn = place.querySelector(".js-plotly-plot .main-svg");
    if (drawn && drawn !== known) {
      known = drawn;
      requestAnimationFrame(() => window.dispatchEvent(new Event("resize")));
    }
  };
  const observer = new MutationObserver(look);
  observer.observe(place, { childList: true, subtree: true });
  look();
  return () => observer.disconnect();
}
