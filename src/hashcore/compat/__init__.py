"""hashcore under the interfaces of other libraries: a module each, which imports its library."""
