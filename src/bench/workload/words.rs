//! Everyday English words of three to six letters: one token each in most vocabularies.

/// Words, all different, separated by blanks.
const TEXT: &str = "\
about above across act add after again age ago air all almost alone along also always among and animal answer \
any apple area arm army around art ask away baby back bad bag ball band bank bar base basic bath bear beat bed \
been before began begin behind being below best better big bill bird bit black block blood blow blue board boat \
body bone book born both bottom box boy branch bread break bridge bright bring broad brown build burn bus busy \
but buy cake call came camp can card care carry case cat catch cause cell center chair chance change check child \
choose church circle city class clean clear climb clock close cloud coast coat coffee cold color come common \
cook cool copy corn corner cost cotton could count course cover cow create cross crowd cry cup current cut dance \
danger dark day dead deal dear death decide deep desk dinner doctor dog door double down draw dream dress drink \
drive drop dry duck during dust duty each ear early earth east easy eat edge effect egg eight either empty end \
energy engine enjoy enough enter equal even event ever every exact except eye face fact fair fall family famous \
far farm fast fat father favor fear feed feel feet few field fight figure fill film final find fine finger finish \
fire first fish fit five flat floor flow flower fly follow food foot for force forest form four free fresh friend \
from front fruit full fun game garden gas gate gave gentle get gift girl give glad glass goes gold gone good got \
grand grass gray great green grew ground group grow guess guide gun hair half hall hand happen happy hard hat have \
head hear heart heat heavy help here high hill his hit hold hole home hope horse hot hotel hour house how huge \
human hurt ice idea inch iron island job join joy jump just keep kept key kid kill kind king kitchen knew know \
lady lake land large last late laugh law lay lead learn leave left leg less let letter level lie life lift light \
like line lip list listen little live local long look lord lose lost lot loud love low luck lunch made mail main \
make man many map mark market master match matter may mean meat meet member mental metal method middle might mile \
milk mind minute miss model modern moment money month moon more most mother mount mouth move much music must name \
narrow nation nature near neck need never new news next nice night nine noise none north nose note nothing notice \
now number object ocean off offer office often oil old once one only open orange order other our out over own \
page paid paint pair paper parent park part party pass past path pay peace pen people period person phone piece \
place plain plan plane plant plate play please plus point poor port pound power press pretty price print prison \
problem prove public pull push put queen quick quiet quite race radio rain raise ran reach read ready real reason \
record red remain repeat reply rest result return rice rich ride right ring rise river road rock roll roof room \
root rose round rule run safe said sail salt same sand save saw say scale school sea search season seat second \
secret see seed seem self sell send sense sent series serve set seven shade shape share sharp sheet shine ship \
shirt shoe shop short should show side sight sign silent silver simple since sing single sister sit six size skill \
skin sky sleep slow small smell smile smooth snow social soft soil some son song soon sound south space speak speed \
spell spend spoke sport spot spread spring square stage stand star start state stay steel step stick still stone \
stood stop store storm story street strong such sudden sugar suit summer sun supply sure surface swim system table \
tail take talk tall taste team tell ten test than thank that the their them then there these they thick thin thing \
think third this those though threw three through time tiny tire today told tone too took tool top total touch \
toward town track trade train travel tree trip true trust truth try tube turn twenty two type under unit until \
use usual valley value vary very view visit voice wait walk wall want war warm wash watch water wave way wear \
weather week weight well went were west what wheel when where which while white who whole whose why wide wife wild \
will win wind window wine wing winter wish with woman wonder wood word work world worth would write wrong yard year \
yellow yes yet you young your zero";

/// The words, in one fixed order.
pub(super) fn all() -> Vec<&'static str> {
    TEXT.split_whitespace().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_plain_and_all_different() {
        let mut words = all();
        assert!(words.iter().all(|word| word.bytes().all(|byte| byte.is_ascii_lowercase())));
        let count = words.len();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), count);
        assert!(count > 700, "{count}");
    }
}
