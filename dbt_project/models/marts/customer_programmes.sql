with final as (

    select
        customer_key,
        programme,
        joined_date,
        left_date
    from {{ ref('stg_crm__programme_enrolments') }}
    where is_latest_version

)

select * from final
