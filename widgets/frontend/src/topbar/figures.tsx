import type { Figure } from "./protocol";

/** Figures read as sentences: before → after, change. Those that find no room are not shown. */
export function Figures({ figures }: { figures: Figure[] }) {
  return (
    <dl class="ms-figures">
      {figures.map((figure) => (
        <div key={figure.label} title={figure.tip}>
          <dt>{figure.label}</dt>
          <dd>
            {figure.before && figure.after && (
              <span class="ms-soft">
                {figure.before} <span aria-hidden="true">→</span>
                <span class="ms-hidden">became</span>{" "}
              </span>
            )}
            <b>{figure.after || figure.before}</b>
            {figure.change && <span class={`ms-change ms-${figure.tone}`}> {figure.change}</span>}
          </dd>
        </div>
      ))}
    </dl>
  );
}
