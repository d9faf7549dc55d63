// A choice of a few named things, small enough for a line.
export function Select({
  label,
  title,
  before,
  value,
  options,
  onPick,
}: {
  label: string;
  title?: string;
  before?: string;
  value: string;
  options: { name: string; title: string; off?: boolean }[];
  onPick: (name: string) => void;
}) {
  return (
    <label class="ms-pick" title={title}>
      <span class={before ? "ms-soft" : "ms-hidden"}>{before ?? label}</span>
      <select
        class="ms-input"
        aria-label={label}
        value={value}
        onChange={(event) => onPick(event.currentTarget.value)}
      >
        {options.map((option) => (
          <option key={option.name} value={option.name} disabled={option.off}>
            {option.title}
          </option>
        ))}
      </select>
    </label>
  );
}
