// A bar for each step of the script: how much of the difference goes when it is reverted.
import type { Blame } from "./protocol";

const percent = (part: number) => `${(50 * Math.min(1, Math.abs(part))).toFixed(1)}%`;

export function BlameBars({ blame }: { blame: Blame }) {
  return (
    <section class="ms-blame" aria-label="Blame of each step">
      <h3>{blame.title}</h3>
      <table>
        <thead>
          <tr>
            <th scope="col">Step</th>
            <th scope="col" title="how much less the models part here without the step">
              Blame
            </th>
            <th scope="col">
              <span class="ms-hidden">as a figure</span>
            </th>
            <th
              scope="col"
              title="what the logarithm of the probability of the original's answer gains without it"
            >
              log p regained
            </th>
          </tr>
        </thead>
        <tbody>
          {blame.steps.map((step) => (
            <tr key={step.number}>
              <th scope="row" title={step.words}>
                <span class="ms-faint">{step.number}</span> {step.words}
              </th>
              {step.refused !== null ? (
                <td colSpan={3} class="ms-blame-refused">
                  {step.refused}
                </td>
              ) : (
                <>
                  <td>
                    <span class="ms-blame-bar" aria-hidden="true">
                      <i
                        class={step.part < 0 ? "ms-makes-up" : ""}
                        style={
                          step.part < 0
                            ? { right: "50%", width: percent(step.part) }
                            : { left: "50%", width: percent(step.part) }
                        }
                      />
                    </span>
                  </td>
                  <td>{step.figure}</td>
                  <td class="ms-soft">{step.gain}</td>
                </>
              )}
            </tr>
          ))}
        </tbody>
      </table>
      <p class="ms-faint">{blame.sentence}</p>
    </section>
  );
}
