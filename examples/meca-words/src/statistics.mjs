/** Pure: the same document always gives the same numbers, in the same order. */

const MOST_FREQUENT = 5

export function statistics(document) {
  const texts = textsOf(document)
  const words = texts.flatMap((text) => text.toLowerCase().match(/\p{L}[\p{L}\p{N}'’-]*/gu) ?? [])
  const counts = new Map()
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1)
  return {
    texts: texts.length,
    words: words.length,
    distinctWords: counts.size,
    letters: texts.reduce((sum, text) => sum + (text.match(/\p{L}/gu)?.length ?? 0), 0),
    sentences: texts.reduce((sum, text) => sum + (text.match(/[^.!?\s][^.!?]*/gu)?.length ?? 0), 0),
    mostFrequent: [...counts]
      .sort(([a, countA], [b, countB]) => countB - countA || (a < b ? -1 : 1))
      .slice(0, MOST_FREQUENT)
      .map(([word, count]) => ({ word, count })),
  }
}

/** Every string in the document, in any order; a list of what is still to be opened, so that depth cannot overflow. */
function textsOf(document) {
  const texts = []
  const open = [document]
  while (open.length > 0) {
    const value = open.pop()
    if (typeof value === 'string') texts.push(value)
    else if (value !== null && typeof value === 'object') for (const inner of Object.values(value)) open.push(inner)
  }
  return texts
}
