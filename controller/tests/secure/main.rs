//! A fleet with certificates, made in each test: who is let in, what each may say, who is cut off. Real sessions on
//! loopback; the rogue ones have no rules of their own and try whatever they like.

mod floods;
mod join;
mod links;
mod rules;
mod slow;
mod stamps;
mod strangers;
mod support;
