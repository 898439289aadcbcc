/** The synopsis of a command and its options, for the help and the manual page. */
import { type CommandName, type OptionName, OPTIONS_OF } from '../arguments.ts';
import { OPTION_HELP, type Values } from './options.ts';
import { PAGES } from './pages.ts';

export interface OptionOfCommand {
  readonly name: OptionName;
  /** With its value, for example `--socket PATH`. */
  readonly flag: string;
  readonly text: string;
  readonly values?: Values | undefined;
}

/** Returns the options of a command, in the order of the table, without those that all commands have. */
export function optionsOf(command: CommandName): OptionOfCommand[] {
  const own = PAGES[command].options ?? {};
  return OPTIONS_OF[command].map((name) => {
    const { value, values, text } = OPTION_HELP[name];
    const flag = value === undefined ? `--${name}` : `--${name} ${value}`;
    return { name, flag, text: own[name] ?? text, values };
  });
}

/** Returns the parts of the synopsis: the command, and each thing behind it. */
export function synopsisOf(command: CommandName): string[] {
  const { operands } = PAGES[command];
  return [
    `xen-domid ${command}`,
    ...(operands === undefined ? [] : [operands]),
    ...optionsOf(command).map(({ flag }) => `[${flag}]`),
  ];
}
