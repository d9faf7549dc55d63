// How values are spread.
import type { Histogram } from "./protocol";

const SIZE = { w: 320, h: 74 };

export function HistogramView({ histogram }: { histogram: Histogram }) {
  const { counts, zero } = histogram;
  const most = Math.max(1, ...counts);
  const width = SIZE.w / Math.max(1, counts.length);
  // A square root keeps the tails to be seen.
  const height = (count: number) => SIZE.h * Math.sqrt(count / most);
  return (
    <figure class="ms-histogram">
      <figcaption class="ms-clip" title={histogram.title}>
        {histogram.title}
      </figcaption>
      <svg
        viewBox={`0 0 ${SIZE.w} ${SIZE.h}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={[histogram.title, `from ${histogram.low} to ${histogram.high}`, ...histogram.lines].join(
          ", ",
        )}
      >
        {counts.map((count, i) => (
          <rect
            key={i}
            x={i * width}
            y={SIZE.h - height(count)}
            width={Math.max(0.5, width - 0.6)}
            height={height(count)}
          />
        ))}
        {zero !== null && <line x1={zero * SIZE.w} x2={zero * SIZE.w} y1={0} y2={SIZE.h} />}
      </svg>
      <p class="ms-ends">
        <span>{histogram.low}</span>
        <span class="ms-faint">{histogram.lines.join("; ")}</span>
        <span>{histogram.high}</span>
      </p>
    </figure>
  );
}
