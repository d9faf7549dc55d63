// The mark (two strands that cross, held by one suture) and the two arrows.

export function Logo() {
  return (
    <svg class="ms-logo" width="28" height="28" viewBox="0 0 28 28" aria-hidden="true">
      <g fill="none" stroke="currentColor" stroke-linecap="round">
        <path d="M8 4.5c0 6 12 8 12 19" stroke-width="2.8" />
        <path d="M20 4.5c0 6-12 8-12 19" stroke-width="2.8" />
        <circle cx="14" cy="12.6" r="3.4" fill="var(--ms-surface)" stroke-width="2" />
        <path d="M9.4 19.4h9.2" stroke-width="1.6" opacity=".55" />
      </g>
    </svg>
  );
}

const arrow = {
  width: 16,
  height: 16,
  viewBox: "0 0 16 16",
  fill: "none",
  stroke: "currentColor",
  "stroke-width": 1.6,
  "stroke-linecap": "round",
  "stroke-linejoin": "round",
} as const;

export function UndoIcon() {
  return (
    <svg {...arrow} aria-hidden="true">
      <path d="M6 3 3 6l3 3M3.4 6H9a3.5 3.5 0 0 1 0 7H6.5" />
    </svg>
  );
}

export function RedoIcon() {
  return (
    <svg {...arrow} aria-hidden="true">
      <path d="m10 3 3 3-3 3M12.6 6H7a3.5 3.5 0 0 0 0 7h2.5" />
    </svg>
  );
}

export const FolderIcon = () => (
  <svg width="16" height="16" viewBox="0 0 16 16" aria-hidden="true">
    <path
      d="M1.8 12.2V4.3c0-.5.4-.9.9-.9h3l1.6 1.7h5.9c.5 0 .9.4.9.9v6.2c0 .5-.4.9-.9.9H2.7c-.5 0-.9-.4-.9-.9Z"
      fill="none"
      stroke="currentColor"
      stroke-width="1.4"
      stroke-linejoin="round"
    />
  </svg>
);

export const ParentsIcon = () => (
  <svg width="16" height="16" viewBox="0 0 16 16" aria-hidden="true">
    <g fill="none" stroke="currentColor" stroke-width="1.4" stroke-linejoin="round" stroke-linecap="round">
      <circle cx="4" cy="3.6" r="1.8" />
      <circle cx="12" cy="3.6" r="1.8" />
      <circle cx="8" cy="12.4" r="1.8" />
      <path d="M4 5.6c0 3 4 2 4 4.8M12 5.6c0 3-4 2-4 4.8" />
    </g>
  </svg>
);

export const PromptIcon = () => (
  <svg width="16" height="16" viewBox="0 0 16 16" aria-hidden="true">
    <g fill="none" stroke="currentColor" stroke-width="1.4" stroke-linejoin="round" stroke-linecap="round">
      <path d="M2.2 3.6h11.6v7.2H8l-3 2.6v-2.6H2.2z" />
      <path d="M5 6.2h2.2M5 8.3h1.4M9 6.2h2M9 8.3h2" />
    </g>
  </svg>
);
