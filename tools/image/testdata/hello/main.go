// Program hello stands for the gateway in tests: a static program that says which C library is
// linked into it.
package main

func main() { println("GNU C Library (Test) stable release version 2.36.") }
