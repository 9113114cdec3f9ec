#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
#
# usage: screen.py LINES COLUMNS
#
# What a terminal of that size shows, of what a program wrote to it, which is read
# from stdin: the last screen that was drawn before the program gave it back. It
# knows as much of xterm as ncurses makes use of. A character that is drawn beyond
# the screen is an error.

import re
import sys

LINES, COLUMNS = int(sys.argv[1]), int(sys.argv[2])
TOKEN = re.compile(r"\x1b\[([?>]?)([0-9;]*)([A-Za-z@`])|\x1b[()][A-Z0-9]|\x1b[=>78M]|([\x00-\x1f])|(.)", re.S)


class Screen:
    def __init__(self):
        self.clear()

    def clear(self):
        self.cells = [[" "] * COLUMNS for _ in range(LINES)]
        self.row = self.column = 0
        self.last = " "

    def put(self, char):
        if self.column >= COLUMNS:
            self.row, self.column = self.row + 1, 0
        if self.row >= LINES:
            sys.exit(f"drawn below the last line: {char!r}")
        self.cells[self.row][self.column] = self.last = char
        self.column += 1

    def erase(self, row, first, last):
        for column in range(first, last):
            self.cells[row][column] = " "

    def control(self, char):
        if char == "\r":
            self.column = 0
        elif char == "\n":
            self.row = min(self.row + 1, LINES - 1)
        elif char == "\b":
            self.column = max(self.column - 1, 0)
        elif char == "\t":
            self.column = min(self.column // 8 * 8 + 8, COLUMNS - 1)

    def sequence(self, numbers, final):
        first = numbers[0] if numbers else 0
        n = max(first, 1)
        if final == "H":
            self.row = min(n, LINES) - 1
            self.column = min(max(numbers[1] if len(numbers) > 1 else 1, 1), COLUMNS) - 1
        elif final == "d":
            self.row = min(n, LINES) - 1
        elif final in "G`":
            self.column = min(n, COLUMNS) - 1
        elif final in "AB":
            self.row = min(max(self.row + (n if final == "B" else -n), 0), LINES - 1)
        elif final in "CD":
            self.column = min(max(self.column + (n if final == "C" else -n), 0), COLUMNS - 1)
        elif final == "K":
            self.erase(self.row, 0 if first else self.column, self.column + 1 if first == 1 else COLUMNS)
        elif final == "X":
            self.erase(self.row, self.column, min(self.column + n, COLUMNS))
        elif final == "b":
            for _ in range(n):
                self.put(self.last)
        elif final == "J":
            if not first:
                self.erase(self.row, self.column, COLUMNS)
            for row in range(0 if first else self.row + 1, LINES):
                self.erase(row, 0, COLUMNS)
        elif final in "LMP@ST":
            sys.exit(f"unknown sequence {numbers} {final}")


def main():
    screen = Screen()
    text = sys.stdin.buffer.read().decode("utf-8", "replace")
    begin = text.find("\x1b[?1049h")
    end = text.find("\x1b[?1049l")
    if begin < 0 or end < 0:
        sys.exit("the screen was not taken, or not given back")
    for private, numbers, final, control, char in TOKEN.findall(text[begin:end]):
        if char:
            screen.put(char)
        elif control:
            screen.control(control)
        elif final and not private:
            screen.sequence([int(n) for n in numbers.split(";") if n], final)
    print("\n".join("".join(line).rstrip() for line in screen.cells))


main()
