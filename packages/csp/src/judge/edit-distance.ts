/**
 * The number of characters to insert, delete, change or swap with their neighbour to make one word of another, or a
 * number above `limit` when it takes more.
 */
export function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) > limit) return limit + 1;
  // What both begin with costs nothing.
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start++;
  return distance(a.slice(start), b.slice(start), limit);
}

function distance(a: string, b: string, limit: number): number {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, index) => index);
  let leastOfLast = 0;
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    let leastOfRow = i;
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let least = Math.min(
        (last[j] ?? 0) + 1,
        (row[j - 1] ?? 0) + 1,
        (last[j - 1] ?? 0) + (same ? 0 : 1),
      );
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        least = Math.min(least, (before[j - 2] ?? 0) + 1);
      }
      row.push(least);
      leastOfRow = Math.min(leastOfRow, least);
    }
    // Whatever comes is made of the last two rows, and costs no less.
    if (leastOfRow > limit && leastOfLast > limit) return limit + 1;
    leastOfLast = leastOfRow;
    before = last;
    last = row;
  }
  return last[b.length] ?? 0;
}
