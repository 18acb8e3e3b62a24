/* no-symbol.c: a shared object, but no plugin. */
int no_symbol_answer(void);

int no_symbol_answer(void)
{
    return 42;
}
