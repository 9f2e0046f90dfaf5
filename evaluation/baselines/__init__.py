"""What is reached without looking. Importing this package registers every baseline."""
