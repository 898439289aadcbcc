/** Sizes that all pictures share: narrow enough that labels stay legible where a page is scaled to 390 pixels. */
import type { Theme } from './picture.ts';

/** Pixels. */
export const WIDTH = 520;
export const FONT_SIZE = 14;
export const TITLE_SIZE = 15;
const LEFT = 8;
const TITLE_HEIGHT = 44;
const AXIS_HEIGHT = 30;
const AXIS_NAME_HEIGHT = 22;

export interface PanelBox {
  readonly top: number;
  readonly height: number;
}

/** Returns the plotting area of a panel in a column of panels of equal height. */
export function panelBox(
  index: number,
  panelHeight: number,
  { hasAxisName }: { readonly hasAxisName: boolean },
): PanelBox {
  return {
    top: index * panelHeight + TITLE_HEIGHT,
    height: panelHeight - TITLE_HEIGHT - AXIS_HEIGHT - (hasAxisName ? AXIS_NAME_HEIGHT : 0),
  };
}

/** Titles of panels in a column. */
export function titlesOf(
  { text: color }: Theme,
  titles: readonly string[],
  panelHeight: number,
): { text: string; left: number; top: number; textStyle: { color: string; fontSize: number } }[] {
  return titles.map((text, index) => ({
    text,
    left: LEFT,
    top: index * panelHeight + LEFT,
    textStyle: { color, fontSize: TITLE_SIZE },
  }));
}
