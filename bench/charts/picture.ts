/** Writes charts as SVG, in a light and a dark variant; the same figures give the same bytes. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type EChartsOption, init } from 'echarts';

const PICTURES = join('docs', 'pictures');

export interface Theme {
  readonly name: 'light' | 'dark';
  readonly ground: string;
  readonly text: string;
  readonly faint: string;
  /** Colour of xen-domid, used for nothing else. */
  readonly ours: string;
  /** Colours of the other ways, in their order. */
  readonly others: readonly string[];
}

const THEMES: readonly Theme[] = [
  {
    name: 'light',
    ground: '#ffffff',
    text: '#1f2328',
    faint: '#d1d9e0',
    ours: '#d1242f',
    others: ['#6639ba', '#0969da', '#1b7c83', '#4d9375', '#9a6700', '#bc4c00'],
  },
  {
    name: 'dark',
    ground: '#0d1117',
    text: '#e6edf3',
    faint: '#30363d',
    ours: '#ff7b72',
    others: ['#bc8cff', '#58a6ff', '#39c5cf', '#7ee787', '#d29922', '#ffa657'],
  },
];

/** Without quotes: ECharts writes it into an attribute unescaped. */
const FONT = 'system-ui, sans-serif';

export interface Picture {
  /** File name before `-light.svg` and `-dark.svg`. */
  readonly name: string;
  readonly width: number;
  readonly height: number;
  readonly option: (theme: Theme) => EChartsOption;
}

/** Returns the paths of the files it writes. */
export async function writePicture({ name, width, height, option }: Picture): Promise<string[]> {
  await mkdir(PICTURES, { recursive: true });
  return await Promise.all(
    THEMES.map(async (theme) => {
      const chart = init(null, null, { renderer: 'svg', ssr: true, width, height });
      chart.setOption({
        animation: false,
        backgroundColor: theme.ground,
        textStyle: { fontFamily: FONT, color: theme.text },
        ...option(theme),
      });
      const file = join(PICTURES, `${name}-${theme.name}.svg`);
      await writeFile(file, `${plain(chart.renderToSVGString())}\n`);
      chart.dispose();
      return file;
    }),
  );
}

/** Removes attributes that only ECharts in a browser needs; some count the charts drawn before, so that the bytes would differ. */
function plain(svg: string): string {
  return svg
    .replaceAll(/ (?:class|pointer-events|ecmeta_[a-z_]+)="[^"]*"/g, '')
    .replaceAll(/<style ?>[\s\S]*?<\/style>/g, '')
    .replaceAll(/zr\d+-([a-z]+)/g, '$1');
}
