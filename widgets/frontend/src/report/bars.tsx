// A bar per block: what an edit there costs, or how far it is from what it was.
import { scoreColour } from "../shared/palette";
import type { Bars, ReportMessage } from "./protocol";
import { type Placed, place } from "./scale";

interface Props {
  bars: Bars;
  send: (message: ReportMessage) => void;
}

/** Under so many bars each has its label; of more every so manyth. */
const LABELLED = 24;

export function BarChart({ bars, send }: Props) {
  const { placed, zero, logarithmic } = place(bars.bars);
  const every = Math.max(1, Math.ceil(placed.length / LABELLED));
  return (
    <figure class="ms-bars" aria-label={bars.title}>
      <figcaption>
        {bars.title}
        {logarithmic && <span class="ms-faint"> (logarithmic)</span>}
      </figcaption>
      <ol>
        {placed.map((item, i) => (
          <li key={`${item.bar.path} ${item.bar.text}`}>
            <Bar item={item} zero={zero} send={send} />
            <span class="ms-faint" aria-hidden="true">
              {i % every === 0 ? item.bar.label : ""}
            </span>
          </li>
        ))}
      </ol>
    </figure>
  );
}

const percent = (part: number) => `${(100 * part).toFixed(2)}%`;

function Bar({ item, zero, send }: { item: Placed; zero: number; send: Props["send"] }) {
  const { bar } = item;
  return (
    <button
      type="button"
      title={bar.text}
      aria-label={bar.text}
      onClick={() => bar.path && send({ type: "select", paths: [bar.path], mode: "set" })}
    >
      <i
        class="ms-bar"
        style={{
          bottom: percent(item.from),
          height: percent(Math.max(0.006, item.to - item.from)),
          background: scoreColour(bar.score ?? item.score),
        }}
      />
      <i class="ms-whisker" style={{ bottom: percent(item.low), height: percent(item.high - item.low) }} />
      <i class="ms-zero" style={{ bottom: percent(zero) }} />
    </button>
  );
}
