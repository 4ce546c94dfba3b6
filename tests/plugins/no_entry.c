/* A shared object that is no transport. */
int ferry_transport_entry_of_another_name(void);

int ferry_transport_entry_of_another_name(void)
{
	return 0;
}
