// The form's fields: which kind each attribute has is seen from an item that has it.
export type Kind = 'text' | 'number' | 'boolean' | 'list' | 'numbers';

export function kindOf(value: unknown): Kind {
  if (typeof value === 'number') return 'number';
  if (typeof value === 'boolean') return 'boolean';
  if (Array.isArray(value)) return value.length > 0 && value.every((v) => typeof v === 'number') ? 'numbers' : 'list';
  return 'text';
}

export function shown(value: unknown): string {
  if (value === null || value === undefined) return '';
  return Array.isArray(value) ? value.join(', ') : String(value);
}

/** The value that a text stands for; what is no number goes as text, so that the service names the field it refuses. */
export function meant(text: string, kind: Kind): unknown {
  const trimmed = text.trim();
  if (kind === 'number') return trimmed !== '' && Number.isFinite(Number(trimmed)) ? Number(trimmed) : trimmed;
  if (kind === 'boolean') return trimmed === 'true' ? true : trimmed === 'false' ? false : trimmed;
  if (kind === 'list') return parts(trimmed);
  if (kind === 'numbers') return parts(trimmed).map((part) => meant(part, 'number'));
  return text;
}

export function parts(text: string): string[] {
  return text.split(/[,\n]/).map((part) => part.trim()).filter((part) => part !== '');
}
