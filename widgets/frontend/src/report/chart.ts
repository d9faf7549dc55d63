// The chart beside the report is plotly's own widget: it draws its first picture 700 px wide, since it
// is not yet in the page, and measures its room only when the window says that it was resized.

const AGAIN_MS = 120;
const TRIES = 25;

/** Has a chart that appears in the studio around `inside` take the room it has. */
export function fitCharts(inside: Element): () => void {
  const place = inside.closest(".ms-studio")?.querySelector(".ms-area-chart");
  if (!place) return () => undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  // Told while it still draws its first picture, plotly would widen the frame and leave the picture as it
  // was; the surface for the mouse comes last. It may not listen even then, so it is told until it fits.
  const tell = (tries: number) => {
    clearTimeout(timer);
    const drawn = place.querySelector(".js-plotly-plot .main-svg");
    if (!drawn || tries === 0) return;
    if (Math.abs(Number(drawn.getAttribute("width")) - place.clientWidth) < 2) return;
    if (drawn.querySelector(".nsewdrag")) window.dispatchEvent(new Event("resize"));
    timer = setTimeout(() => tell(tries - 1), AGAIN_MS);
  };
  const look = () => tell(TRIES);
  const appears = new MutationObserver(look);
  appears.observe(place, { childList: true, subtree: true });
  const resized = new ResizeObserver(look);
  resized.observe(place);
  look();
  return () => {
    clearTimeout(timer);
    appears.disconnect();
    resized.disconnect();
  };
}
