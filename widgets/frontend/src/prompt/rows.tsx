// Classes or neighbours by both models: a pair of bars each, and how the rank moved.
import type { PromptState } from "./protocol";

const percent = (part: number) => `${(100 * Math.min(1, Math.max(0, part))).toFixed(1)}%`;

export function Choices({ state, ask }: { state: PromptState; ask: () => void }) {
  return (
    <>
      <table class="ms-prompt-ranks">
        <thead>
          <tr>
            <th scope="col">{state.rows_title}</th>
            <th scope="col">Original</th>
            <th scope="col">Edited</th>
            <th scope="col">Rank</th>
          </tr>
        </thead>
        <tbody>
          {state.rows.map((row) => (
            <tr key={row.name}>
              <th scope="row" title={row.name}>
                {row.name}
              </th>
              <td>
                <Bar part={row.from} text={row.before} />
              </td>
              <td>
                <Bar part={row.to} text={row.after} />
              </td>
              <td class="ms-soft">{row.rank}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <button type="button" class="ms-button" disabled={state.running} onClick={ask}>
        Which step is to blame?
      </button>
    </>
  );
}

function Bar({ part, text }: { part: number; text: string }) {
  return (
    <span class="ms-prompt-rank">
      <span class="ms-prompt-rank-bar" aria-hidden="true">
        <i style={{ width: percent(part) }} />
      </span>
      <span class="ms-number">{text}</span>
    </span>
  );
}
