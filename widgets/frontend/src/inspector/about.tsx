// What the operation does, or what the field under pointer or focus means, in one place of a fixed height:
// a help line under every field would push the dry run out of sight.
import type { Form } from "./protocol";

interface Props {
  form: Form;
  /** Name of the field asked about; null for the operation itself. */
  field: string | null;
}

export function About({ form, field }: Props) {
  const told = form.fields.filter((item) => item.help);
  const shown = told.find((item) => item.name === field)?.name ?? null;
  return (
    <div class="ms-about">
      <p class={shown === null ? "ms-on" : ""}>{form.summary}</p>
      {told.map((item) => (
        <p key={item.name} class={shown === item.name ? "ms-on" : ""} aria-hidden={shown !== item.name}>
          <b>{item.label}</b> {item.help}
        </p>
      ))}
    </div>
  );
}
