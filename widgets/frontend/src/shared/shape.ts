// Total readers: each turns anything at all into a value of its type, so a panel never fails on a
// state that is empty (before Python has filled it) or older than the panel.

export type Reader<T> = (value: unknown) => T;
export type Infer<R> = R extends Reader<infer T> ? T : never;

export const text: Reader<string> = (value) =>
  typeof value === "string" ? value : typeof value === "number" ? String(value) : "";

export const flag: Reader<boolean> = (value) => value === true;

export const number =
  (fallback = 0): Reader<number> =>
  (value) =>
    typeof value === "number" && Number.isFinite(value) ? value : fallback;

export const anything: Reader<unknown> = (value) => value;

export const maybe =
  <T>(read: Reader<T>): Reader<T | null> =>
  (value) =>
    value === null || value === undefined ? null : read(value);

/** One of a few words; anything else reads as the first. */
export const word =
  <const W extends readonly [string, ...string[]]>(...words: W): Reader<W[number]> =>
  (value) =>
    (words as readonly unknown[]).includes(value) ? (value as W[number]) : words[0];

/** One of a few words, or null. */
export const maybeWord =
  <const W extends readonly [string, ...string[]]>(...words: W): Reader<W[number] | null> =>
  (value) =>
    (words as readonly unknown[]).includes(value) ? (value as W[number]) : null;

/** A list; what is not a list is empty, and items that are null are dropped. */
export const list =
  <T>(read: Reader<T>): Reader<T[]> =>
  (value) =>
    Array.isArray(value) ? value.filter((item) => item !== null && item !== undefined).map(read) : [];

export const record =
  <T>(read: Reader<T>): Reader<Map<string, T>> =>
  (value) =>
    new Map(isObject(value) ? Object.entries(value).map(([key, item]) => [key, read(item)]) : []);

type Shape = Record<string, Reader<unknown>>;
type Shaped<S extends Shape> = { [K in keyof S]: Infer<S[K]> };

/** An object; every field is read, missing ones too, and unknown ones are left out. */
export const object = <S extends Shape>(shape: S): Reader<Shaped<S>> => {
  const fields = Object.entries(shape);
  return (value) => {
    const source = isObject(value) ? value : {};
    return Object.fromEntries(fields.map(([key, read]) => [key, read(source[key])])) as Shaped<S>;
  };
};

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
