/** Tables for spreadsheets, as RFC 4180 has them. A cell that a spreadsheet would take for a formula is made text. */

/** Lines end in CR LF; a cell with a comma, a quote or a line break stands in quotes. */
export function csv(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, ...rows].map((row) => `${row.map(cell).join(',')}\r\n`).join('')
}

function cell(text: string): string {
  const safe = isFormula(text) ? `'${text}` : text
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}

/** A number below zero begins like a formula and is none. */
function isFormula(text: string): boolean {
  return /^[=+\-@\t\r\n＝＋－＠]/.test(text) && !/^-[0-9]+(\.[0-9]+)?$/.test(text)
}
