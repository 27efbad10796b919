// A plot of wall times as one SVG file: for each measure a group of bars, one per program, with a tick for each run.
// Pure; no library, because bars and labels are all it takes.
import { grouped, rowsOf } from './statistics.mjs';

const colours = { backpack: '#1f6feb', restic: '#d29922', borg: '#3fb950' };
const other = '#8b949e';
const bar = 16;
const gap = 5;
const left = 250;
const right = 90;
const width = 860;

const escapeText = (text) =>
  String(text).replace(/[&<>]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;' })[c]);

/** @param runs lines of results; @param title stands above; @returns the text of an SVG file */
export function plot(runs, title) {
  const groups = [...grouped(runs)].filter(([name]) => !name.startsWith('startup'));
  const all = groups.flatMap(([, programs]) => [...programs.values()].flat()).map(({ wallS }) => wallS);
  const scale = (width - left - right) / Math.max(...all, 1e-9);
  const parts = [];
  let y = 44;
  for (const [name, programs] of groups) {
    parts.push(`<text x="8" y="${y + 12}" font-weight="bold">${escapeText(name)}</text>`);
    for (const { program, wallS, walls } of rowsOf(programs, 'backpack')) {
      const length = (wallS * scale).toFixed(1);
      const end = Math.max(wallS, ...walls) * scale;
      parts.push(
        `<text x="${left - 8}" y="${y + 12}" text-anchor="end">${escapeText(program)}</text>`,
        `<rect x="${left}" y="${y}" width="${length}" height="${bar}" fill="${colours[program] ?? other}"/>`,
        ...walls.map((wall) => {
          const x = (left + wall * scale).toFixed(1);
          return `<line x1="${x}" x2="${x}" y1="${y + 2}" y2="${y + bar - 2}" stroke="#24292f"/>`;
        }),
        `<text x="${(left + end + 6).toFixed(1)}" y="${y + 12}">${wallS.toFixed(2)} s</text>`,
      );
      y += bar + gap;
    }
    y += 12;
  }
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${y}" viewBox="0 0 ${width} ${y}" font-family="sans-serif" font-size="12" fill="#24292f">`,
    `<title>${escapeText(title)}</title>`,
    `<rect width="${width}" height="${y}" fill="#ffffff"/>`,
    `<text x="8" y="22" font-size="14">${escapeText(title)}</text>`,
    ...parts,
    '</svg>\n',
  ].join('\n');
}
