module upstream-bodies

go 1.24
